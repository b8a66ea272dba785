/* The rows of the table: what is asked of a server, how often, and what it cost. */
#pragma once

#include <sys/types.h>

#include "conn.h"

enum { ROWS_FILES = 1000, ROWS_FILE_SIZE = 64 << 20, ROWS_MEG = 1 << 20 };

struct bench {
    struct conn *nfs;
    struct wire_handle root;
    struct wire_handle dir;    /* of this run, below root */
    struct wire_handle big;    /* ROWS_FILE_SIZE bytes */
    struct wire_handle fresh;  /* for writing */
    struct wire_handle *files; /* ROWS_FILES of them, in dir */
    pid_t server;              /* whose CPU time is counted; 0: nobody's */
    double seconds;            /* a row lasts about this long */
    uint32_t window;           /* requests in flight; 0: as the series says */

    /* of the row that runs */
    const char *prefix; /* of the names it uses */
    uint32_t expect;    /* NFS status */
    uint64_t entries;   /* READDIRPLUS: seen */
    uint64_t *cookies;  /* READDIRPLUS: where each page begins */
    uint32_t page_count;
    uint8_t verf[8];
    int last_page;
};

/* Mounts the export and makes the files that the rows use, in a directory named after the run. */
void rows_prepare(struct bench *b, const char *host, const char *mount_port, const char *nfs_port,
                  const char *export, const char *run);

/* Runs the rows whose names contain only ("": every row), printing one JSON object per line. */
void rows_run(struct bench *b, const char *only);
