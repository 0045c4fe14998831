#include "agent/trust.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include <fmt/format.h>

#include "agent/console.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr char kDirectory[] = "/run/pyro";
constexpr char kFile[] = "/run/pyro/ca.pem";
constexpr std::size_t kMaxBundleBytes = 4 * 1024 * 1024;
// Where distributions keep the certificates of all authorities, Debian first.
constexpr const char* kBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};
constexpr const char* kVariables[] = {
    "SSL_CERT_FILE",  "CURL_CA_BUNDLE",    "REQUESTS_CA_BUNDLE", "PIP_CERT",
    "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",      "NODE_EXTRA_CA_CERTS",
};

struct Bundle {
  const char* path = nullptr;
  std::string version;
};

Bundle FindBundle() {
  for (const char* path : kBundles) {
    struct stat info {};
    if (::stat(path, &info) != 0 || !S_ISREG(info.st_mode)) continue;
    return {path, fmt::format("{} {} {}.{}", path, info.st_size, info.st_mtim.tv_sec,
                              info.st_mtim.tv_nsec)};
  }
  return {nullptr, "none"};
}

}  // namespace

void Trust::Refresh() {
  if (certificate_.empty()) return;
  const Bundle bundle = FindBundle();
  struct stat info {};
  if (bundle.version == written_ && ::stat(kFile, &info) == 0) return;
  std::string text;
  if (bundle.path != nullptr) text = sys::ReadFile(bundle.path, kMaxBundleBytes).value_or("");
  if (!text.empty() && text.back() != '\n') text += '\n';
  ::mkdir(kDirectory, 0755);
  if (const Status written = sys::WriteFileAtomically(kFile, text + certificate_, 0644); !written) {
    return ConsoleLine(written.error().message);
  }
  written_ = bundle.version;
}

std::map<std::string, std::string> Trust::Variables() const {
  std::map<std::string, std::string> variables;
  if (certificate_.empty()) return variables;
  for (const char* name : kVariables) variables[name] = kFile;
  return variables;
}

}  // namespace pyro::agent
