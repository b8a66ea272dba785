/* Node ids, the kernel's names for inodes of several volumes, and attributes in its form. */
#include <assert.h>
#include <string.h>

#include "fuse/front_int.h"

/* Inode ids come from one counter for all volumes and are never used again, so they are unique as
 * they are (st_ino); the index only tells which volume to ask. */
static uint32_t node_volume_index(struct front *front, struct fs_volume *vol)
{
    uint32_t count = atomic_load(&front->volume_count), at;

    for (at = 0; at < count; at++) {
        if (atomic_load(&front->volumes[at]) == vol)
            return at;
    }
    (void)pthread_mutex_lock(&front->volume_lock);
    count = atomic_load(&front->volume_count);
    for (at = 0; at < count && atomic_load(&front->volumes[at]) != vol; at++)
        ;
    if (at == count && count < VOLUMES_MAX) {
        atomic_store(&front->volumes[at], vol);
        atomic_store(&front->volume_count, count + 1);
    }
    (void)pthread_mutex_unlock(&front->volume_lock);
    return at; /* VOLUMES_MAX: there is no room, and its node ids name nothing */
}

fuse_ino_t node_id(struct front *front, struct fs_volume *vol, uint64_t ino)
{
    assert(ino >> NODE_INO_BITS == 0);
    if (vol == front->config.vol)
        return ino == fs_root(vol) ? FUSE_ROOT_ID : ino;
    return (fuse_ino_t)node_volume_index(front, vol) << NODE_INO_BITS | ino;
}

bool node_find(struct front *front, fuse_ino_t node, struct fs_volume **ret_vol, uint64_t *ret_ino)
{
    uint64_t at = node >> NODE_INO_BITS;

    if (at >= atomic_load(&front->volume_count))
        return false;
    *ret_vol = atomic_load(&front->volumes[at]);
    *ret_ino =
        node == FUSE_ROOT_ID ? fs_root(*ret_vol) : node & ((UINT64_C(1) << NODE_INO_BITS) - 1);
    return true;
}

static struct timespec node_time(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / CLOCK_S, .tv_nsec = ns % CLOCK_S};

    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += CLOCK_S;
    }
    return ts;
}

void node_stat(const struct front *front, const struct fs_attr *attr, struct stat *ret)
{
    mode_t type = attr->type == FS_DIR ? S_IFDIR : attr->type == FS_LNK ? S_IFLNK : S_IFREG;
    uint32_t mask = attr->type == FS_LNK ? 0 : front->config.umask;

    *ret = (struct stat){.st_ino = attr->ino,
                         .st_mode = type | (attr->mode & ~mask & 07777),
                         .st_nlink = attr->nlink,
                         .st_uid = attr->uid,
                         .st_gid = attr->gid,
                         .st_size = (off_t)attr->size,
                         .st_blksize = FS_IO_MAX,
                         .st_blocks = (blkcnt_t)((attr->used + 511) / 512),
                         .st_atim = node_time(attr->atime_ns),
                         .st_mtim = node_time(attr->mtime_ns),
                         .st_ctim = node_time(attr->ctime_ns)};
}

double node_timeout(const struct front *front, int64_t valid_ns)
{
    int64_t max = front->config.shared ? 0 : front->config.attr_ttl_ns;

    if (valid_ns > max)
        valid_ns = max;
    return valid_ns > 0 ? (double)valid_ns / (double)CLOCK_S : 0;
}

void node_entry(struct front *front, const struct fs_node *node, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){.ino = node_id(front, node->vol, node->ino),
                                     .generation = 1,
                                     .attr_timeout = node_timeout(front, node->valid_ns)};
    ret->entry_timeout = ret->attr_timeout;
    node_stat(front, &node->attr, &ret->attr);
}
