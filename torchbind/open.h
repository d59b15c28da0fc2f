// What open.go calls to open libraries, under no libtorch.
#pragma once

#include <stdint.h>

// Opens a library for all that come after it; NULL, and the linker's words in why, where it cannot.
void *tb_dlopen(const char *path, char *why, int64_t why_size);

// Returns what a library has under that name, or NULL.
const void *tb_dlsym(void *library, const char *name);

// Lets the functions of functions.S be those of a library. Returns NULL, or the name of one that it lacks.
const char *tb_connect(void *library);
