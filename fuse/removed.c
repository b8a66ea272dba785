/*
 * Directories that were removed while somebody may be in them. A program whose working directory
 * one is can still go up from there: the kernel only wants to know whether it may, and asks for the
 * attributes when it does not believe its own any more. The last few are enough; one that is
 * forgotten is -ESTALE.
 */
#include "base/cleanup.h"
#include "fuse/front_int.h"

bool removed_look(struct call *c, const char *name, struct fs_node *ret)
{
    struct fs_node dir;
    uint32_t flags = c->fs.flags;

    c->fs.flags |= FS_NOWAIT; /* the kernel has just asked for it */
    int err = fs_lookup(c->vol, &c->fs, c->ino, name, ret, &dir);
    c->fs.flags = flags;
    return !err && ret->attr_valid && ret->attr.type == FS_DIR;
}

void removed_add(struct front *front, const struct fs_node *node)
{
    LOCK_SCOPE(&front->page_lock);
    struct removed_dir *at = &front->removed[front->removed_count++ % REMOVED_MAX];
    *at = (struct removed_dir){.node = node_id(front, node->vol, node->ino), .attr = node->attr};
    at->attr.nlink = 0;
}

bool removed_find(struct front *front, fuse_ino_t node, struct fs_attr *ret)
{
    LOCK_SCOPE(&front->page_lock);
    for (size_t i = 0; i < REMOVED_MAX; i++) {
        if (front->removed[i].node == node) {
            *ret = front->removed[i].attr;
            return true;
        }
    }
    return false;
}
