/* Numbers as a person reads them. Each writes into buf and returns it. */
#pragma once

#include <stdint.h>

struct text_short {
    char text[32];
};
const char *text_bytes(struct text_short *buf, uint64_t bytes); /* "340.2 MiB" */
const char *text_time(struct text_short *buf, int64_t seconds); /* "42 s", "3 h 12 min" */
#define TEXT_BYTES(n) text_bytes(&(struct text_short){{0}}, (n))
#define TEXT_TIME(n) text_time(&(struct text_short){{0}}, (n))
