/* A store on a server that misbehaves: what the tests of the S3 store's manners share. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cloud/s3_int.h"
#include "tests/cloud/fault_server.h"

#define EMPTY_LIST \
    "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
#define LIST_STEP                                                     \
    {                                                                 \
        .match = "GET /bkt/?", .status = "200 OK", .body = EMPTY_LIST \
    }
#define ERROR(code) "<Error><Code>" code "</Code><Message>as told</Message></Error>"
#define RANGE_10 "Content-Range: bytes 0-9/10\r\nETag: \"e\"\r\n"
#define GOOD_GET                                                               \
    {                                                                          \
        .match = "GET /bkt/key", .status = "206 Partial", .headers = RANGE_10, \
        .body = "0123456789"                                                   \
    }

extern struct fault_server *fault_server; /* the bucket is "bkt" there */
extern struct store *fault_store;
extern char fault_buf[64]; /* where a GET puts its 10 bytes */

int fault_store_setup(void **state);
int fault_store_teardown(void **state);
#define FAULT_TEST(fn) cmocka_unit_test_setup_teardown(fn, fault_store_setup, fault_store_teardown)

/* Plays the script against one request; the caller clears it. deadline_ns is from now, 0 = 20 s;
 * the key is "key" unless given; a GET is for 10 bytes. */
struct store_req fault_play(const struct fault_step *script, struct store_req req);
/* The same, and expects an error and how many HTTP requests it took. */
void fault_expect(const struct fault_step *script, struct store_req req, int err, unsigned tries);
