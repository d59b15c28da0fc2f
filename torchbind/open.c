#include "open.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// functions.S: names, the last one empty, and what the functions of these names jump to.
extern const char tb_names[];
extern void *tb_slots[];

// What every function jumps to before the library is open.
__attribute__((visibility("hidden"))) void tb_unopened(void) {
  fputs("torchbind: libtorch was called before it was opened\n", stderr);
  abort();
}

void *tb_dlopen(const char *path, char *why, int64_t why_size) {
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) snprintf(why, why_size, "%s", dlerror());
  return library;
}

const void *tb_dlsym(void *library, const char *name) { return dlsym(library, name); }

const char *tb_connect(void *library) {
  const char *name;
  for (name = tb_names; *name != '\0'; name += strlen(name) + 1) {
    if (dlsym(library, name) == NULL) return name;
  }
  void **slot = tb_slots;
  for (name = tb_names; *name != '\0'; name += strlen(name) + 1) *slot++ = dlsym(library, name);
  return NULL;
}
