#include "regex.h"

#include <stddef.h>
#include <time.h>

// Oniguruma, the library of regular expressions within the tokenizers library, backtracks: (a+)+$ tries 2ⁿ ways to
// match a text of n letters. It ends a search with an error after some tries, and the Rust code above it makes an abort
// of every error. So the linker puts this function in front of it (--wrap in native.go), which turns an error into "no
// match" and keeps it for regex_end; the searches that follow find nothing and end at once.

typedef struct OnigMatchParamStruct OnigMatchParam;

void onig_set_retry_limit_in_match_of_match_param(OnigMatchParam *, unsigned long);
void onig_set_retry_limit_in_search_of_match_param(OnigMatchParam *, unsigned long);
int __real_onig_search_with_param(void *, const unsigned char *, const unsigned char *, const unsigned char *, const unsigned char *, void *,
                                  unsigned int, OnigMatchParam *);

enum { mismatch = -1, retry_limit_over = -17 };  // as oniguruma.h has them

// Of one search: at most a second. The expressions in use need some of each letter of a text of spaces alone.
static unsigned long max_retries(size_t bytes) {
  size_t n = 4 * 1000 * 1000 + 20 * bytes;
  return n < 20 * 1000 * 1000 ? n : 20 * 1000 * 1000;
}

static _Thread_local struct {
  double deadline;  // 0: none
  int error;
} work;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

void regex_begin(double seconds) {
  work.deadline = now() + seconds;
  work.error = 0;
}

int regex_end(void) {
  work.deadline = 0;
  return work.error;
}

int __wrap_onig_search_with_param(void *regex, const unsigned char *text, const unsigned char *end, const unsigned char *start,
                                  const unsigned char *range, void *region, unsigned int options, OnigMatchParam *param) {
  if (work.deadline == 0) return __real_onig_search_with_param(regex, text, end, start, range, region, options, param);
  if (work.error == 0 && now() > work.deadline) work.error = retry_limit_over;
  if (work.error != 0) return mismatch;
  unsigned long most = max_retries(end - text);
  onig_set_retry_limit_in_match_of_match_param(param, most);
  onig_set_retry_limit_in_search_of_match_param(param, most);
  int found = __real_onig_search_with_param(regex, text, end, start, range, region, options, param);
  if (found >= mismatch) return found;
  work.error = found;
  return mismatch;
}
