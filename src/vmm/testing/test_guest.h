// What a test boots: the kernel of an installed environment and an initramfs with the program of
// guest_init.cc.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "vmm/vmm.h"

namespace pyro::vmm {

// A gzip-less cpio archive in the "newc" format, in memory.
std::string MakeInitramfs(const std::filesystem::path& init,
                          const std::vector<std::filesystem::path>& modules);

// An unnamed file of that content.
sys::UniqueFd FileOf(std::string_view content);
// An unnamed sparse file.
sys::UniqueFd FileOfSize(off_t bytes);

// A machine with 256 MiB that boots the test guest. kNotFound: QEMU is missing or no environment is
// installed, in $PYRO_TEST_CACHE, $PYRO_CACHE_DIR or the user's cache; the message is the reason to
// print.
Result<MachineSpec> TestGuestSpec();

// The same for a guest in user mode. Its kernel is $PYRO_TEST_BIN/pyro-usermode-kernel.
Result<MachineSpec> UsermodeGuestSpec();

// The next line that the guest says on its channel, without its end, or what there is of it at the
// end of the channel or after a minute.
std::string ReadGuestLine(int channel);

// Says a line to the guest and returns its answer.
std::string AskGuest(int channel, const std::string& line);

// True when a test must fail rather than be skipped for want of what it needs.
bool QemuIsRequired();

}  // namespace pyro::vmm

// Skips the test, or fails it when QemuIsRequired().
#define PYRO_SKIP_OR_FAIL(reason)                                        \
  do {                                                                   \
    if (::pyro::vmm::QemuIsRequired()) FAIL() << "required: " << reason; \
    GTEST_SKIP() << reason;                                              \
  } while (false)
