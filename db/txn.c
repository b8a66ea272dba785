/* Transactions in memory: operations with their parameters, packed (the form is in internal.h). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/internal.h"

enum { TXN_FIRST_CAP = 384 };

struct db_txn *db_txn_new(struct db *db)
{
    struct db_txn *txn = mem_zalloc(sizeof(*txn));

    txn->db = db;
    txn->cap = TXN_FIRST_CAP;
    txn->buf = mem_alloc(txn->cap);
    return txn;
}

void db_txn_free(struct db_txn *txn)
{
    if (!txn)
        return;
    free(txn->buf);
    free(txn);
}

static uint8_t *txn_extend(struct db_txn *txn, size_t len)
{
    if (txn->cap - txn->len < len) {
        while (txn->cap - txn->len < len)
            txn->cap *= 2;
        txn->buf = mem_realloc(txn->buf, txn->cap);
    }
    uint8_t *p = txn->buf + txn->len;
    txn->len += len;
    return p;
}

static void put_op(struct db_txn *txn, enum db_op op)
{
    *txn_extend(txn, 1) = (uint8_t)op;
    txn->ops++;
}

static void put_i64(struct db_txn *txn, int64_t value)
{
    uint8_t n = value != 0;

    /* As few bytes as keep the value when the sign of the last one is extended. */
    while (n > 0 && n < DB_TAG_INT_MAX && value >> (8 * n - 1) != 0 && value >> (8 * n - 1) != -1)
        n++;
    uint8_t *p = txn_extend(txn, 1U + n);
    *p++ = n;
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)((uint64_t)value >> (8 * i));
}

static void put_u64(struct db_txn *txn, uint64_t value)
{
    put_i64(txn, (int64_t)value);
}

static void put_bytes(struct db_txn *txn, enum db_tag tag, const void *data, size_t len)
{
    uint32_t len32 = (uint32_t)len;

    assert(len <= UINT32_MAX / 4);
    uint8_t *p = txn_extend(txn, 1 + sizeof(len32) + len);
    *p++ = (uint8_t)tag;
    memcpy(p, &len32, sizeof(len32));
    if (len > 0)
        memcpy(p + sizeof(len32), data, len);
}

static void put_text(struct db_txn *txn, const char *text)
{
    if (text)
        put_bytes(txn, DB_TAG_TEXT, text, strlen(text));
    else
        *txn_extend(txn, 1) = DB_TAG_NULL;
}

static void put_verf(struct db_txn *txn, const uint8_t verf[DB_VERF_SIZE])
{
    static const uint8_t none[DB_VERF_SIZE];

    if (memcmp(verf, none, DB_VERF_SIZE) == 0)
        *txn_extend(txn, 1) = DB_TAG_NULL;
    else
        put_bytes(txn, DB_TAG_BLOB, verf, DB_VERF_SIZE);
}

void db_put_inode(struct db_txn *txn, const struct db_inode *row)
{
    put_op(txn, DB_OP_PUT_INODE);
    put_u64(txn, row->id);
    put_u64(txn, row->volume);
    put_u64(txn, row->type);
    put_u64(txn, row->flags);
    put_u64(txn, row->mode);
    put_u64(txn, row->uid);
    put_u64(txn, row->gid);
    put_u64(txn, row->size);
    put_i64(txn, row->atime_ns);
    put_i64(txn, row->mtime_ns);
    put_i64(txn, row->ctime_ns);
    put_u64(txn, row->change);
    put_u64(txn, row->parent);
    put_u64(txn, row->base_epoch);
    put_text(txn, row->base_key);
    put_text(txn, row->base_etag);
    put_u64(txn, row->base_size);
    put_u64(txn, row->base_len);
    put_verf(txn, row->verf);
    put_text(txn, row->target);
    put_text(txn, row->extra_meta);
    put_text(txn, row->flight_key);
    put_u64(txn, row->flight_size);
    put_u64(txn, row->flight_len);
    put_i64(txn, row->flight_mtime_ns);
}

void db_del_inode(struct db_txn *txn, uint64_t inode)
{
    put_op(txn, DB_OP_DEL_INODE);
    put_u64(txn, inode);
    put_op(txn, DB_OP_DEL_INODE_EXTENTS);
    put_u64(txn, inode);
    put_op(txn, DB_OP_DEL_INODE_REDIRECTS);
    put_u64(txn, inode);
    put_op(txn, DB_OP_DEL_INODE_PARTS);
    put_u64(txn, inode);
    put_op(txn, DB_OP_DEL_INODE_UPLOADS);
    put_u64(txn, inode);
}

void db_put_dirent(struct db_txn *txn, uint64_t id, uint64_t parent, const char *name,
                   uint64_t inode)
{
    assert(name[0] != '\0' && strlen(name) <= DB_NAME_MAX);
    put_op(txn, DB_OP_PUT_DIRENT);
    put_u64(txn, parent);
    put_text(txn, name);
    put_u64(txn, id);
    put_u64(txn, inode);
}

void db_del_dirent(struct db_txn *txn, uint64_t parent, const char *name)
{
    put_op(txn, DB_OP_DEL_DIRENT);
    put_u64(txn, parent);
    put_text(txn, name);
}

void db_put_extent(struct db_txn *txn, const struct db_extent *row)
{
    put_op(txn, DB_OP_PUT_EXTENT);
    put_u64(txn, row->inode);
    put_u64(txn, row->off);
    put_u64(txn, row->len);
    put_u64(txn, row->version);
    put_u64(txn, row->segment);
    put_u64(txn, row->pos);
}

void db_del_extent(struct db_txn *txn, uint64_t inode, uint64_t off)
{
    put_op(txn, DB_OP_DEL_EXTENT);
    put_u64(txn, inode);
    put_u64(txn, off);
}

void db_del_extents(struct db_txn *txn, uint64_t inode, uint64_t version_max)
{
    put_op(txn, DB_OP_DEL_EXTENTS);
    put_u64(txn, inode);
    put_u64(txn, version_max < INT64_MAX ? version_max : INT64_MAX);
}

void db_put_intent(struct db_txn *txn, const struct db_intent *row)
{
    put_op(txn, DB_OP_PUT_INTENT);
    put_u64(txn, row->id);
    put_u64(txn, row->volume);
    put_u64(txn, row->kind);
    put_u64(txn, row->inode);
    put_u64(txn, row->arg);
    put_text(txn, row->key);
    put_text(txn, row->etag);
}

void db_del_intent(struct db_txn *txn, uint64_t id)
{
    put_op(txn, DB_OP_DEL_INTENT);
    put_u64(txn, id);
}

void db_put_upload(struct db_txn *txn, const struct db_upload *row)
{
    put_op(txn, DB_OP_PUT_UPLOAD);
    put_u64(txn, row->id);
    put_u64(txn, row->volume);
    put_u64(txn, row->inode);
    put_text(txn, row->key);
    put_text(txn, row->upload_id);
    put_u64(txn, row->part_size);
    put_u64(txn, row->version);
    put_i64(txn, row->mtime_ns);
    put_u64(txn, row->meta);
    put_i64(txn, row->begun_ns);
}

void db_del_upload(struct db_txn *txn, uint64_t id)
{
    put_op(txn, DB_OP_DEL_UPLOAD);
    put_u64(txn, id);
    put_op(txn, DB_OP_DEL_UPLOAD_PARTS);
    put_u64(txn, id);
}

void db_put_part(struct db_txn *txn, const struct db_part *row)
{
    put_op(txn, DB_OP_PUT_PART);
    put_u64(txn, row->upload);
    put_u64(txn, row->number);
    put_u64(txn, row->len);
    put_u64(txn, row->sign[0]);
    put_u64(txn, row->sign[1]);
    put_u64(txn, row->copied);
    put_text(txn, row->etag);
    put_text(txn, row->checksum);
}

void db_put_redirect(struct db_txn *txn, const struct db_redirect *row)
{
    put_op(txn, DB_OP_PUT_REDIRECT);
    put_u64(txn, row->inode);
    put_u64(txn, row->epoch);
    put_u64(txn, row->volume);
    put_text(txn, row->prefix);
}

void db_del_redirect(struct db_txn *txn, uint64_t inode, uint64_t epoch)
{
    put_op(txn, DB_OP_DEL_REDIRECT);
    put_u64(txn, inode);
    put_u64(txn, epoch);
}

void db_put_reply(struct db_txn *txn, const struct db_reply *row)
{
    put_op(txn, DB_OP_PUT_REPLY);
    put_bytes(txn, DB_TAG_BLOB, row->key, row->key_len);
    put_bytes(txn, DB_TAG_BLOB, row->reply, row->reply_len);
}

void db_put_redo(struct db_txn *txn, const struct db_redo *row)
{
    put_op(txn, DB_OP_PUT_REDO);
    put_u64(txn, row->id);
    put_u64(txn, row->segment);
    put_u64(txn, row->salt);
    put_u64(txn, row->pos);
    put_bytes(txn, DB_TAG_BLOB, row->data, row->len);
}

void db_del_redo(struct db_txn *txn, uint64_t id_max)
{
    put_op(txn, DB_OP_DEL_REDO);
    put_u64(txn, id_max < INT64_MAX ? id_max : INT64_MAX);
}

void db_meta_put(struct db_txn *txn, const char *name, const void *value, size_t len)
{
    put_op(txn, DB_OP_PUT_META);
    put_text(txn, name);
    put_bytes(txn, DB_TAG_BLOB, value, len);
}

void db_put_number(struct db_txn *txn, const char *name, uint64_t value)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    db_meta_put(txn, name, bytes, sizeof(bytes));
}

void db_put_volume(struct db_txn *txn, const char *identity, uint64_t root)
{
    put_op(txn, DB_OP_PUT_VOLUME);
    put_text(txn, identity);
    put_u64(txn, root);
}
