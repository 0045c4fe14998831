// A seccomp filter for this process.

#pragma once

#include <span>

namespace pyro::sys {

// Sets `filter`, as the kernel takes it, and gives up new privileges, for this thread or for all
// threads of the process. Cannot be undone. False: errno has the reason. May be called between fork
// and exec.
enum class FilteredThreads { kThisOne, kAll };
bool SetSeccompFilter(std::span<const char> filter, FilteredThreads threads);

}  // namespace pyro::sys
