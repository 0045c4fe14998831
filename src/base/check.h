// PYRO_CHECK(condition): a bug, not a failure. Prints file, line and expression, then aborts.

#pragma once

namespace pyro {

[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

}  // namespace pyro

#define PYRO_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::pyro::CheckFailed(__FILE__, __LINE__, #condition))
