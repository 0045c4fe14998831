#include "image/store/catalog.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace pyro::image {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

std::vector<CatalogEntry> MakeCatalog() {
  // In each one: the kernel asks kmod for modules, and mount is not in Debian's essential set.
  const std::vector<std::string_view> least = {"kmod", "mount"};
  std::vector<std::string_view> agent_work = {
      "git",  "ca-certificates", "curl",  "procps", "less",     "python3",
      "file", "patch",           "unzip", "jq",     "xz-utils", "openssh-client"};
  agent_work.insert(agent_work.end(), least.begin(), least.end());
  std::vector<std::string_view> build_tools = agent_work;
  for (std::string_view package :
       {"build-essential", "cmake", "pkg-config", "ninja-build", "autoconf", "automake", "libtool",
        "python3-dev", "python3-venv", "python3-pip", "gdb",
        // What agents try first, and libraries that packages of pip are often built with.
        "python-is-python3", "ripgrep", "tree", "rsync", "wget", "zip", "bzip2", "sqlite3",
        "strace", "sudo", "iproute2", "libssl-dev", "libffi-dev", "zlib1g-dev"}) {
    build_tools.push_back(package);
  }
  return {
      {"debian:12-base", "Debian 12, minimal: shell and core tools", "bookworm", least, 550 * kMiB},
      {"debian:12", "Debian 12 with Git, Python, curl, jq and ssh", "bookworm", agent_work,
       800 * kMiB},
      {"debian:12-build", "debian:12 with gcc, make, CMake, gdb and pip", "bookworm", build_tools,
       1700 * kMiB},
      {"debian:13-base", "Debian 13, minimal: shell and core tools", "trixie", least, 550 * kMiB},
      {"debian:13", "Debian 13 with Git, Python, curl, jq and ssh", "trixie", agent_work,
       800 * kMiB},
      {"debian:13-build", "debian:13 with gcc, make, CMake, gdb and pip", "trixie", build_tools,
       1700 * kMiB},
  };
}

}  // namespace

const std::vector<CatalogEntry>& Catalog() {
  static const auto* const kCatalog = new std::vector<CatalogEntry>(MakeCatalog());
  return *kCatalog;
}

Result<const CatalogEntry*> FindCatalogEntry(std::string_view name) {
  const auto& catalog = Catalog();
  const auto found = std::find_if(catalog.begin(), catalog.end(),
                                  [&](const auto& entry) { return entry.name == name; });
  if (found != catalog.end()) return &*found;
  std::vector<std::string_view> names;
  for (const auto& entry : catalog) names.push_back(entry.name);
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("there is no environment '{}'", Printable(name, 64)),
                   fmt::format("choose one of: {}", fmt::join(names, ", ")));
}

std::string DirectoryName(std::string_view environment) {
  std::string name(environment);
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

}  // namespace pyro::image
