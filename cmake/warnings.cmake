# Warnings for the project's own code; every one is an error.
add_library(pailfs_warnings INTERFACE)
target_compile_options(pailfs_warnings INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
    -Wwrite-strings -Wundef -Wformat=2 -Wconversion -Wno-sign-conversion
    # Clang sees into the macros of uthash, which say it in a way of their own.
    $<$<C_COMPILER_ID:GNU>:-Wimplicit-fallthrough>)
