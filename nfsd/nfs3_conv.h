/* Between the types of fs.h and those of nfs3.x. */
#pragma once

#include "fs/fs.h"
#include "nfs3.h"

void nfs3_conv_attr(const struct fs_attr *attr, fattr3 *ret);
void nfs3_conv_post(const struct fs_node *node, post_op_attr *ret); /* absent if not valid */
void nfs3_conv_wcc(const struct fs_wcc *wcc, wcc_data *ret);
/* Seconds outside of what 32 bits hold become the nearest that fits. */
void nfs3_conv_time(int64_t ns, nfstime3 *ret);
/* -EINVAL for a time with a second or more of nanoseconds. */
int nfs3_conv_time_from(const nfstime3 *time, int64_t *ret_ns);
/* -EINVAL as above. */
int nfs3_conv_sattr(const sattr3 *set, struct fs_sattr *ret);
void nfs3_conv_handle(struct fs_volume *vol, uint64_t ino, nfs_fh3 *ret);
