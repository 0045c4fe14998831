#include "agent/warm_up.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/boot.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

// The loader, the library of all programs, shells, and the programs that agents call most.
constexpr const char* kFiles[] = {
    "/etc/ld.so.cache",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib/x86_64-linux-gnu/libtinfo.so.6",
    "/lib/x86_64-linux-gnu/libselinux.so.1",
    "/lib/x86_64-linux-gnu/libpcre2-8.so.0",
    "/lib/x86_64-linux-gnu/libz.so.1",
    "/lib/x86_64-linux-gnu/libexpat.so.1",
    "/bin/sh",
    "/bin/bash",
    "/bin/true",
    "/bin/cat",
    "/bin/ls",
    "/bin/grep",
    "/bin/sed",
    "/usr/bin/env",
    "/usr/bin/find",
    "/usr/bin/git",
    "/usr/bin/python3",
};
constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

}  // namespace

Freezing BootsToBeFrozen() {
  const char* const word = ::getenv("pyro_template");
  if (word == nullptr) return Freezing::kNo;
  return std::string_view(word) == "disk" ? Freezing::kWithDisk : Freezing::kWithoutDisk;
}

void WarmPageCache() {
  // Links in the base count from its own root.
  const sys::UniqueFd here(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!here.valid() || ::chroot(kBaseDirectory) != 0) return;
  std::vector<char> buffer(std::size_t{64} << 10);
  for (const char* name : kFiles) {
    const sys::UniqueFd file(::open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.valid()) continue;
    std::size_t total = 0;
    ssize_t n = 0;
    while (total < kMaxFileBytes && (n = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
      total += static_cast<std::size_t>(n);
    }
  }
  if (::fchdir(here.get()) != 0 || ::chroot(".") != 0) ::_exit(1);  // The guest ends with PID 1.
}

void AwaitFreePageReport() { ::sleep(3); }

}  // namespace pyro::agent
