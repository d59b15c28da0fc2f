// Bounds on the work of regular expressions, which come with a model's tokenizer.
#pragma once

// regex_begin begins to count the work of this thread's searches, which may take so many seconds together.
void regex_begin(double seconds);

// regex_end returns 0, or the error of Oniguruma that ended a search since regex_begin.
int regex_end(void);
