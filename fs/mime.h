/* Content-Type by the extension of a name. */
#pragma once

#include <stdbool.h>

/* Without parameters; NULL if the name has no extension, or none that is known. Lives for ever. */
const char *mime_of_name(const char *name);
/* Of two names the extension is another one, whatever its case. */
bool mime_other_extension(const char *a, const char *b);
