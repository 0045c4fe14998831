#include "sys/host.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::sys {
namespace {

// Where distributions keep the certificates of all authorities, Debian first.
constexpr const char* kCertificateLists[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

}  // namespace

Result<std::string> BootId() {
  PYRO_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/sys/kernel/random/boot_id", 128));
  return std::string(TrimSpace(text));
}

Result<HostMemory> ReadHostMemory() {
  PYRO_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/meminfo", 64 * 1024));
  const auto mib = [&text](std::string_view name) -> std::uint64_t {
    const std::size_t at = text.find(name);
    return at == std::string::npos ? 0 : std::strtoull(&text[at + name.size()], nullptr, 10) / 1024;
  };
  return HostMemory{.total_mib = mib("MemTotal:"), .available_mib = mib("MemAvailable:")};
}

std::string KernelRelease() {
  utsname info{};
  return ::uname(&info) == 0 ? info.release : "unknown";
}

Result<std::filesystem::path> ProgramDirectory() {
  char buffer[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  if (n <= 0 || n == static_cast<ssize_t>(sizeof buffer))
    return ErrnoError(errno, "readlink", "/proc/self/exe");
  return std::filesystem::path(std::string(buffer, static_cast<std::size_t>(n))).parent_path();
}

Result<std::filesystem::path> HomeDirectory() {
  const std::string home = Environment("HOME");
  if (home.empty() || home[0] != '/') {
    return MakeError(ErrorCode::kNotFound, "HOME is not set to an absolute path",
                     "set HOME, or PYRO_STATE_DIR and PYRO_CACHE_DIR");
  }
  return std::filesystem::path(home);
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

Result<std::string> TrustedCertificates() {
  std::string certificates;
  for (const char* list : kCertificateLists) {
    if (::access(list, R_OK) != 0) continue;
    PYRO_ASSIGN_OR_RETURN(certificates, ReadFile(list, kMaxTrustBytes / 2));
    break;
  }
  if (const std::string more = Environment("SSL_CERT_FILE"); !more.empty()) {
    PYRO_ASSIGN_OR_RETURN(const std::string text, ReadFile(more, kMaxTrustBytes / 2));
    certificates += "\n" + text;
  }
  if (certificates.empty()) {
    return MakeError(ErrorCode::kMissingTool, "this host has no list of trusted certificates",
                     "install one: apt-get install ca-certificates");
  }
  return certificates;
}

}  // namespace pyro::sys
