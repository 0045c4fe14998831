#include "jail/testing/processes.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/files.h"

namespace pyro::jail {

pid_t ChildOf(pid_t parent) {
  const std::string wanted = fmt::format("\nPPid:\t{}\n", parent);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto pid = ParseInt(entry.path().filename().native());
    if (!pid) continue;
    const auto status = sys::ReadFile(entry.path() / "status", 65536);
    if (status && status->find(wanted) != std::string::npos) return static_cast<pid_t>(*pid);
  }
  return -1;
}

}  // namespace pyro::jail
