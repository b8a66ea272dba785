/* Reading the XML of the S3 protocol, by libxml2's tree. */
#include "cloud/s3_xml.h"

#include <ctype.h>
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_text.h"
#include "cloud/uri.h"

static void doc_cleanup(xmlDoc **doc)
{
    xmlFreeDoc(*doc);
}
#define CLEANUP_DOC __attribute__((cleanup(doc_cleanup)))

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

static xmlDoc *doc_parse(const char *data, size_t len)
{
    (void)pthread_once(&xml_once, xmlInitParser);
    /* Stores send blanks ahead of a late answer, to keep the connection. */
    while (len > 0 && isspace((unsigned char)*data)) {
        data++;
        len--;
    }
    if (len == 0 || len > S3_XML_MAX || memchr(data, 0, len) || memmem(data, len, "<!DOCTYPE", 9))
        return NULL;
    xmlDoc *doc = xmlReadMemory(data, (int)len, NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                    XML_PARSE_NOCDATA | XML_PARSE_COMPACT);
    if (doc && (doc->intSubset || doc->extSubset)) {
        xmlFreeDoc(doc);
        return NULL;
    }
    return doc;
}

static bool node_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* The root, if its name is one of a NULL-terminated list. */
static xmlNode *doc_root(xmlDoc *doc, const char *const *names)
{
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

    for (; root && *names; names++)
        if (node_is(root, *names))
            return root;
    return NULL;
}

static xmlNode *node_child(const xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent->children; node; node = node->next)
        if (node_is(node, name))
            return node;
    return NULL;
}

/* New memory; "" for an empty or missing element. */
static char *node_text(xmlNode *node)
{
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
    char *copy = mem_strdup(text ? (const char *)text : "");

    xmlFree(text);
    return copy;
}

static char *child_text(const xmlNode *parent, const char *name)
{
    return node_text(node_child(parent, name));
}

static void child_copy(const xmlNode *parent, const char *name, char *ret, size_t size)
{
    CLEANUP_FREE char *text = child_text(parent, name);
    size_t len = strnlen(text, size - 1);

    memcpy(ret, text, len);
    ret[len] = '\0';
}

bool s3_xml_error_parse(const char *data, size_t len, struct s3_xml_error *ret)
{
    CLEANUP_DOC xmlDoc *doc = doc_parse(data, len);
    const xmlNode *root = doc_root(doc, (const char *const[]){"Error", "ErrorResponse", NULL});

    *ret = (struct s3_xml_error){0};
    if (!root)
        return false;
    if (!node_child(root, "Code") && node_child(root, "Error"))
        root = node_child(root, "Error"); /* some stores wrap it, as other Amazon services do */
    child_copy(root, "Code", ret->code, sizeof(ret->code));
    child_copy(root, "Message", ret->message, sizeof(ret->message));
    child_copy(root, "Region", ret->region, sizeof(ret->region));
    child_copy(root, "Endpoint", ret->endpoint, sizeof(ret->endpoint));
    return true;
}

/* ---- listings ---- */

struct list_reader {
    struct s3_xml_list *list;
    size_t room;
    bool encoded; /* encoding-type=url */
};

/* A name that does not decode is taken as it stands: then the store did not encode it. */
static char *list_name(const struct list_reader *reader, xmlNode *node)
{
    char *name = node_text(node);

    if (reader->encoded) {
        char *raw = mem_strdup(name);
        bool decoded = uri_decode(name, true);
        free(decoded ? raw : name);
        name = decoded ? name : raw;
    }
    return name;
}

static struct store_object *list_add(struct list_reader *reader, char *key)
{
    struct s3_xml_list *list = reader->list;

    if (list->count == reader->room) {
        reader->room = reader->room ? reader->room * 2 : 64;
        list->objects = mem_rearray(list->objects, reader->room, sizeof(*list->objects));
    }
    struct store_object *obj = &list->objects[list->count++];
    *obj = (struct store_object){.key = key};
    return obj;
}

static bool list_read_object(struct list_reader *reader, const xmlNode *node)
{
    xmlNode *key = node_child(node, "Key");
    char etag[STORE_ETAG_MAX + 16];

    if (!key)
        return false;
    CLEANUP_FREE char *size = child_text(node, "Size");
    CLEANUP_FREE char *date = child_text(node, "LastModified");
    char *end;
    errno = 0;
    unsigned long long bytes = strtoull(size, &end, 10);
    if (errno || end == size || *end || *size == '-' || bytes > INT64_MAX)
        return false;
    child_copy(node, "ETag", etag, sizeof(etag));
    struct store_object *obj = list_add(reader, list_name(reader, key));
    obj->size = bytes;
    obj->mtime_ns = s3_iso_date_parse(date);
    s3_etag_copy(obj->etag, etag);
    child_copy(node, "StorageClass", obj->storage_class, sizeof(obj->storage_class));
    return true;
}

static bool list_read_prefix(struct list_reader *reader, const xmlNode *node)
{
    xmlNode *prefix = node_child(node, "Prefix");

    if (!prefix)
        return false;
    list_add(reader, list_name(reader, prefix))->is_prefix = true;
    return true;
}

static int list_compare(const void *a, const void *b)
{
    return strcmp(((const struct store_object *)a)->key, ((const struct store_object *)b)->key);
}

static bool list_read(struct list_reader *reader, const xmlNode *root)
{
    struct s3_xml_list *list = reader->list;
    CLEANUP_FREE char *encoding = child_text(root, "EncodingType");
    CLEANUP_FREE char *truncated = child_text(root, "IsTruncated");
    xmlNode *token = node_child(root, "NextContinuationToken");
    xmlNode *marker = node_child(root, "NextMarker");

    reader->encoded = strcmp(encoding, "url") == 0;
    list->truncated = strcmp(truncated, "true") == 0;
    list->v2 = token || node_child(root, "KeyCount");
    for (const xmlNode *node = root->children; node; node = node->next) {
        if (node_is(node, "Contents") && !list_read_object(reader, node))
            return false;
        if (node_is(node, "CommonPrefixes") && !list_read_prefix(reader, node))
            return false;
    }
    if (list->count > 1)
        qsort(list->objects, list->count, sizeof(*list->objects), list_compare);
    if (!list->truncated)
        return true;
    if (token && token->children)
        list->next_token = node_text(token);
    if (marker && marker->children)
        list->next_marker = list_name(reader, marker);
    else if (list->count > 0)
        list->next_marker = mem_strdup(list->objects[list->count - 1].key);
    /* More to come, and no way to ask for it. */
    return list->next_token || list->next_marker;
}

int s3_xml_list_parse(const char *data, size_t len, struct s3_xml_list *ret)
{
    CLEANUP_DOC xmlDoc *doc = doc_parse(data, len);
    const xmlNode *root =
        doc_root(doc, (const char *const[]){"ListBucketResult", "ListBucketV2Result", NULL});
    struct s3_xml_list list = {0};
    struct list_reader reader = {.list = &list};

    if (!root)
        return -EBADMSG;
    if (!list_read(&reader, root)) {
        s3_xml_list_clear(&list);
        return -EBADMSG;
    }
    *ret = list;
    return 0;
}

void s3_xml_list_clear(struct s3_xml_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        store_object_clear(&list->objects[i]);
    free(list->objects);
    free(list->next_token);
    free(list->next_marker);
    *list = (struct s3_xml_list){0};
}

/* ---- results of writing ---- */

int s3_xml_result_parse(const char *data, size_t len, struct s3_xml_result *ret)
{
    CLEANUP_DOC xmlDoc *doc = doc_parse(data, len);
    const xmlNode *root =
        doc_root(doc, (const char *const[]){"CopyObjectResult", "CopyPartResult",
                                            "CompleteMultipartUploadResult", NULL});
    char etag[STORE_ETAG_MAX + 16];

    if (!root)
        return -EBADMSG;
    child_copy(root, "ETag", etag, sizeof(etag));
    s3_etag_copy(ret->etag, etag);
    child_copy(root, "ChecksumCRC32C", ret->crc32c, sizeof(ret->crc32c));
    return 0;
}

int s3_xml_initiate_parse(const char *data, size_t len, char **ret_upload_id)
{
    CLEANUP_DOC xmlDoc *doc = doc_parse(data, len);
    const xmlNode *root =
        doc_root(doc, (const char *const[]){"InitiateMultipartUploadResult", NULL});
    CLEANUP_FREE char *id = root ? child_text(root, "UploadId") : NULL;

    if (!id || !*id)
        return -EBADMSG;
    *ret_upload_id = id;
    id = NULL;
    return 0;
}

int s3_xml_delete_parse(const char *data, size_t len, struct s3_xml_delete **ret, size_t *ret_count)
{
    CLEANUP_DOC xmlDoc *doc = doc_parse(data, len);
    const xmlNode *root =
        doc_root(doc, (const char *const[]){"DeleteResult", "DeleteObjectsResult", NULL});
    struct s3_xml_delete *errors = NULL;
    size_t count = 0;

    if (!root)
        return -EBADMSG;
    for (const xmlNode *node = root->children; node; node = node->next) {
        if (!node_is(node, "Error"))
            continue;
        errors = mem_rearray(errors, count + 1, sizeof(*errors));
        errors[count].key = child_text(node, "Key");
        child_copy(node, "Code", errors[count].code, sizeof(errors[count].code));
        count++;
    }
    *ret = errors;
    *ret_count = count;
    return 0;
}

void s3_xml_delete_clear(struct s3_xml_delete *errors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(errors[i].key);
    free(errors);
}
