// Facts about this host and this user.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "pyro/result.h"

namespace pyro::sys {

// The kernel's id of this boot; changes at every boot and only then.
Result<std::string> BootId();

struct HostMemory {
  std::uint64_t total_mib = 0;
  std::uint64_t available_mib = 0;  // Without swapping, as the kernel estimates it.
};
Result<HostMemory> ReadHostMemory();

// Such as "6.1.0-32-cloud-amd64".
std::string KernelRelease();

// Directory of the running program.
Result<std::filesystem::path> ProgramDirectory();

// $HOME. kNotFound when it is not an absolute path.
Result<std::filesystem::path> HomeDirectory();

// The value, or empty when unset.
std::string Environment(const char* name);

// The authorities that this host trusts, in PEM: its own list, then the file that SSL_CERT_FILE
// names, kMaxTrustBytes / 2 each at most. kMissingTool: it has none. kLimit: one is larger.
inline constexpr std::size_t kMaxTrustBytes = 4 * 1024 * 1024;
Result<std::string> TrustedCertificates();

}  // namespace pyro::sys
