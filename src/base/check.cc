#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pyro {

void CheckFailed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "pyro: bug at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace pyro
