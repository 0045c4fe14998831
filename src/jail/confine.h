// The seccomp filters of pyro's own programs in a jail. The tables are in filters/make_filter.cc;
// the build turns them into what the kernel takes.

#pragma once

#include <span>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::jail {

// A program, by what its loop does.
enum class Confined {
  kRelay,        // pyro-net between a machine and passt.
  kServedRelay,  // The same, with hosts that a proxy serves.
  kSlirp,        // pyro-net with libslirp.
  kServedSlirp,
  kProxy,      // pyro-proxy.
  kDownloads,  // The same, with a directory for downloads.
};

// From now on all threads of this process, and those to come, make the calls of `program` alone.
// The kernel ends the process with SIGSYS at any other. For the time between the program's start
// and the first byte from outside. Cannot be undone. With a sanitizer, whose own calls no table
// has, it does nothing.
Status Confine(Confined program);

// A file with a filter for JailSpec::filter of an emulator: calls that it never makes, and that its
// own filter allows, or answers by ending one thread alone.
Result<sys::UniqueFd> EmulatorFilter();

// The same of passt, for SpawnOptions::filter. Lives as long as the program.
std::span<const char> TranslatorFilter();

}  // namespace pyro::jail
