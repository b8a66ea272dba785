/* The answer of GET /status as a table for a person. */
#pragma once

#include <jansson.h>
#include <stdio.h>

void status_print(const json_t *status, FILE *out);
