#include "vmm/uml/processes.h"

#include <dirent.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/files.h"

namespace pyro::vmm::uml {
namespace {

struct ProcessFacts {
  pid_t parent = -1;
  pid_t tracer = -1;
};

std::string_view StatusField(std::string_view status, std::string_view name) {
  const std::size_t at = status.find(fmt::format("\n{}:", name));
  if (at == std::string_view::npos) return {};
  status.remove_prefix(at + name.size() + 2);
  return TrimSpace(status.substr(0, status.find('\n')));
}

// By way of all processes: not every kernel lists the children of one.
std::map<pid_t, ProcessFacts> ListProcesses() {
  std::map<pid_t, ProcessFacts> processes;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), &::closedir);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    const auto pid = ParseInt(entry->d_name);
    if (!pid) continue;
    const auto status = sys::ReadFile(fmt::format("/proc/{}/status", *pid), 65536);
    if (!status) continue;
    const auto parent = ParseInt(StatusField(*status, "PPid"));
    const auto tracer = ParseInt(StatusField(*status, "TracerPid"));
    if (!parent || !tracer) continue;
    processes[static_cast<pid_t>(*pid)] = {.parent = static_cast<pid_t>(*parent),
                                           .tracer = static_cast<pid_t>(*tracer)};
  }
  return processes;
}

pid_t FirstChild(const std::map<pid_t, ProcessFacts>& processes, pid_t parent) {
  for (const auto& [pid, facts] : processes) {
    if (facts.parent == parent) return pid;
  }
  return -1;
}

}  // namespace

Result<GuestProcesses> FindGuestProcesses(pid_t jail) {
  const std::map<pid_t, ProcessFacts> processes = ListProcesses();
  GuestProcesses found;
  // The jail, the first process in it, the kernel.
  found.kernel = FirstChild(processes, FirstChild(processes, jail));
  if (found.kernel < 0) return MakeError(ErrorCode::kNotFound, "the guest's kernel does not run");
  for (const auto& [pid, facts] : processes) {
    if (facts.tracer == found.kernel) found.programs.push_back(pid);
  }
  return found;
}

bool IsStopped(pid_t process) {
  const auto status = sys::ReadFile(fmt::format("/proc/{}/status", process), 65536);
  return status && StatusField(*status, "State").starts_with('T');
}

}  // namespace pyro::vmm::uml
