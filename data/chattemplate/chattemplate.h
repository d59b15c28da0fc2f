// What native/src/lib.rs exports; it says more about each.
#include <stdbool.h>
#include <stddef.h>

typedef struct chat_environment chat_environment;
typedef struct { unsigned char *bytes; size_t length; } chat_text;

chat_environment *chat_compile(const char *source, size_t length, chat_text *error);
bool chat_render(const chat_environment *, const char *variables, size_t length, chat_text *text);
void chat_free(chat_environment *);
void chat_free_text(chat_text);
