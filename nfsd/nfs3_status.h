/*
 * From errno to nfsstat3, per procedure. RFC 1813 lists for each procedure which errors it gives; a
 * client may not know what to do with another. What goes out is on that list, or one of the four
 * that every procedure may give here (IO, STALE, BADHANDLE, JUKEBOX), or one of the additions that
 * are listed with their reasons in nfs3_status.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "nfs3.h"

/* err: 0 or a negative errno of fs.h, of procedure proc (NFSPROC3_...). */
enum nfsstat3 nfs3_status(uint32_t proc, int err);

/* True if a reply of proc may carry this status. */
bool nfs3_status_allowed(uint32_t proc, enum nfsstat3 status);

/* How many errnos have become NFS3ERR_IO since the start because they have no better name. */
uint64_t nfs3_status_unmapped(void);
