/*
 * The NFS handle, 32 bytes: version (1), zero (3), volume id (4), inode id (8), generation (4),
 * zero (4), MAC (8), numbers little-endian. The MAC is SipHash-2-4 over the 24 bytes before it,
 * keyed with a secret of the database: nobody can make up a handle, or turn one of one export into
 * one of another. Inode ids are never used again, so the generation is 1; the field is there should
 * that ever change.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "fs/fs_int.h"

enum { HANDLE_VERSION = 1, HANDLE_GENERATION = 1, HANDLE_SIGNED = 24 };

struct handle {
    uint8_t version, zero[3];
    uint32_t volume;
    uint64_t inode;
    uint32_t generation, zero2;
    uint8_t mac[crypto_shorthash_BYTES];
};
_Static_assert(sizeof(struct handle) == FS_HANDLE_SIZE, "the handle is 32 bytes");
_Static_assert(offsetof(struct handle, mac) == HANDLE_SIGNED, "all but the MAC is signed");
_Static_assert(crypto_shorthash_KEYBYTES == sizeof(((struct fs *)0)->handle_key), "key size");

void fs_handle_encode(struct fs_volume *vol, uint64_t ino, uint8_t ret[FS_HANDLE_SIZE])
{
    struct handle h = {.version = HANDLE_VERSION,
                       .volume = htole32(vol->id),
                       .inode = htole64(ino),
                       .generation = htole32(HANDLE_GENERATION)};

    (void)crypto_shorthash(h.mac, (const unsigned char *)&h, HANDLE_SIGNED, vol->fs->handle_key);
    memcpy(ret, &h, sizeof(h));
}

int fs_handle_decode(struct fs *fs, const void *data, size_t len, struct fs_volume **ret_vol,
                     uint64_t *ret_ino)
{
    uint8_t mac[crypto_shorthash_BYTES];
    struct handle h;

    if (len != sizeof(h))
        return -EBADF;
    memcpy(&h, data, sizeof(h));
    (void)crypto_shorthash(mac, (const unsigned char *)&h, HANDLE_SIGNED, fs->handle_key);
    if (sodium_memcmp(mac, h.mac, sizeof(mac)) != 0 || h.version != HANDLE_VERSION)
        return -EBADF;
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        if (vol->id == le32toh(h.volume)) {
            *ret_vol = vol;
            *ret_ino = le64toh(h.inode);
            return 0;
        }
    }
    /* Perhaps of a sub-mount whose store has not answered yet. */
    return mounts_wanting(fs) ? -EAGAIN : -ESTALE;
}
