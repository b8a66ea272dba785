/* One export called "/a" (volume 0) and one called "/b" (volume 1) for the tests of NFS procedures.
 */
#pragma once

#include "base/clock.h"
#include "fake.h"
#include "nfs3.h"
#include "nfsd/nfs3_service.h"

struct rig {
    struct export_table *table;
    struct nfs3_service service;
};

static inline int rig_setup(void **state)
{
    static struct rig rig;
    struct export a = {.name = "/a",
                       .vol = &fake_fs.vols[0],
                       .secure = true,
                       .anon_uid = 65534,
                       .anon_gid = 65533};
    struct export b = {
        .name = "/b", .vol = &fake_fs.vols[1], .read_only = true, .squash = EXPORT_SQUASH_NONE};

    rig.table = export_table_new();
    rig.service = (struct nfs3_service){.exports = rig.table};
    *state = &rig;
    return export_table_add(rig.table, &a) || export_table_add(rig.table, &b);
}

static inline int rig_teardown(void **state)
{
    struct rig *rig = *state;

    fake_end();
    export_table_free(rig->table);
    return 0;
}

static inline void rig_begin(void **state, uint32_t proc)
{
    struct rig *rig = *state;

    fake_begin(NFS_PROGRAM, proc, &rig->service);
    fake_fs.attr = (struct fs_attr){
        .type = FS_REG,
        .mode = 0640,
        .nlink = 1,
        .uid = 1,
        .gid = 2,
        .size = 3,
        .used = 4,
        .fsid = 5,
        .ino = 6,
        .atime_ns = 7 * CLOCK_S + 70,
        .mtime_ns = 8 * CLOCK_S + 80,
        .ctime_ns = 9 * CLOCK_S + 90,
    };
    fake_fs.node = (struct fs_node){.ino = 6, .attr_valid = true, .attr = fake_fs.attr};
    fake_fs.dir_node = fake_fs.node;
    fake_fs.wcc = (struct fs_wcc){
        .before_valid = true,
        .after_valid = true,
        .before_size = 33,
        .before_mtime_ns = 1 * CLOCK_S + 10,
        .before_ctime_ns = 2 * CLOCK_S + 20,
        .after = fake_fs.attr,
    };
    fake_fs.wcc2 = fake_fs.wcc;
    fake_fs.wcc2.before_size = 44;
}
