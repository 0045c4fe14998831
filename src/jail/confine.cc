#include "jail/confine.h"

#include <array>
#include <cerrno>
#include <span>

#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/seccomp.h"

// In filters_blob.S.
#define PYRO_FILTER(number)                       \
  extern "C" const char kConfineFilter##number[]; \
  extern "C" const char kConfineFilterEnd##number[];
PYRO_FILTER(0)
PYRO_FILTER(1)
PYRO_FILTER(2)
PYRO_FILTER(3)
PYRO_FILTER(4)
PYRO_FILTER(5)
PYRO_FILTER(6)
PYRO_FILTER(7)
#undef PYRO_FILTER

namespace pyro::jail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

std::span<const char> FilterOf(Confined program) {
  const std::array<std::span<const char>, 6> filters = {{{kConfineFilter0, kConfineFilterEnd0},
                                                         {kConfineFilter1, kConfineFilterEnd1},
                                                         {kConfineFilter2, kConfineFilterEnd2},
                                                         {kConfineFilter3, kConfineFilterEnd3},
                                                         {kConfineFilter4, kConfineFilterEnd4},
                                                         {kConfineFilter5, kConfineFilterEnd5}}};
  return filters.at(static_cast<std::size_t>(program));
}

}  // namespace

Status Confine(Confined program) {
  if (kSanitized) return OkStatus();
  if (!sys::SetSeccompFilter(FilterOf(program), sys::FilteredThreads::kAll)) {
    return sys::ErrnoError(errno, "set the seccomp filter");
  }
  return OkStatus();
}

Result<sys::UniqueFd> EmulatorFilter() {
  return sys::MakeMemoryFile(
      {kConfineFilter6, static_cast<std::size_t>(kConfineFilterEnd6 - kConfineFilter6)});
}

std::span<const char> TranslatorFilter() { return {kConfineFilter7, kConfineFilterEnd7}; }

}  // namespace pyro::jail
