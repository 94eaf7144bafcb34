// What the native test programs need of a test library: a check that says where it failed and keeps count.
#pragma once

#include <cstdio>

namespace thew::test {

inline int failures = 0;

inline void check(bool holds, const char* expression, const char* file, int line) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, expression);
}

inline int report(const char* name) {
    std::printf("%s: %s (%d failed)\n", name, failures == 0 ? "passed" : "FAILED", failures);
    return failures == 0 ? 0 : 1;
}

}  // namespace thew::test

#define CHECK(expression) ::thew::test::check((expression), #expression, __FILE__, __LINE__)
