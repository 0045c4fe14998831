#include "jail/cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/files.h"

namespace pyro::jail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGroupPrefix = "pyro-jail-";
constexpr std::int64_t kPeriodMicroseconds = 100'000;
constexpr std::size_t kMaxGroupFile = 64 * 1024;

bool HasWord(std::string_view text, std::string_view word) {
  for (const std::string_view line : Split(text, '\n')) {
    for (const std::string_view one : Split(line, ' ')) {
      if (one == word) return true;
    }
  }
  return false;
}

bool WriteValue(const fs::path& file, const std::string& value) {
  const auto fd = sys::OpenFile(file, O_WRONLY);
  return fd && ::write(fd->get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

bool CanHold(const fs::path& group) {
  const auto given = sys::ReadFile(group / "cgroup.subtree_control", kMaxGroupFile);
  return given && HasWord(*given, "memory") && HasWord(*given, "pids") &&
         ::access(group.c_str(), W_OK) == 0 &&
         ::access((group / "cgroup.procs").c_str(), W_OK) == 0;
}

bool SetBounds(const fs::path& group, const Bounds& bounds) {
  if (bounds.memory_bytes != 0) {
    if (!WriteValue(group / "memory.max", fmt::format("{}", bounds.memory_bytes))) return false;
    // All of it ends, and no part goes on without the rest.
    (void)WriteValue(group / "memory.oom.group", "1");
  }
  if (bounds.processes != 0 &&
      !WriteValue(group / "pids.max", fmt::format("{}", bounds.processes))) {
    return false;
  }
  if (bounds.cpu_percent != 0) {
    // Not every user who may bound memory may bound this.
    (void)WriteValue(
        group / "cpu.max",
        fmt::format("{} {}", kPeriodMicroseconds * bounds.cpu_percent / 100, kPeriodMicroseconds));
  }
  // Of no effect without the controller of processors, which few users have been given.
  if (bounds.niceness != 0) {
    (void)WriteValue(group / "cpu.weight.nice", fmt::format("{}", bounds.niceness));
  }
  return true;
}

// One with processes in it cannot be removed.
void RemoveLeftGroups(const fs::path& parent) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, error)) {
    if (entry.path().filename().native().starts_with(kGroupPrefix)) ::rmdir(entry.path().c_str());
  }
}

}  // namespace

fs::path DelegatedGroup(const fs::path& root, std::string_view own_groups) {
  constexpr std::string_view kVersion2 = "0::/";
  for (const std::string_view line : Split(own_groups, '\n')) {
    if (!line.starts_with(kVersion2)) continue;
    fs::path below = std::string(line.substr(kVersion2.size()));
    while (true) {
      const fs::path group = below.empty() ? root : root / below;
      if (CanHold(group)) return group;
      if (below.empty()) return {};
      below = below.parent_path();
    }
  }
  return {};
}

fs::path DelegatedGroup() {
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs status {};
    if (::statfs(root, &status) != 0 || status.f_type != CGROUP2_SUPER_MAGIC) continue;
    const auto own = sys::ReadFile("/proc/self/cgroup", kMaxGroupFile);
    return own ? DelegatedGroup(root, *own) : fs::path();
  }
  return {};
}

std::optional<Cgroup> Cgroup::Make(const fs::path& parent, const Bounds& bounds) {
  static std::atomic<int> number = 0;
  if (parent.empty()) return std::nullopt;
  RemoveLeftGroups(parent);
  fs::path path = parent / fmt::format("{}{}-{}", kGroupPrefix, ::getpid(), ++number);
  std::error_code error;
  if (!fs::create_directory(path, error)) return std::nullopt;
  Cgroup group(std::move(path));
  if (!SetBounds(group.path_, bounds)) return std::nullopt;
  return group;
}

Cgroup::Cgroup(Cgroup&& other) noexcept : path_(std::exchange(other.path_, {})) {}

Cgroup::~Cgroup() {
  if (!path_.empty()) ::rmdir(path_.c_str());
}

bool Cgroup::Add(pid_t process) const {
  return WriteValue(path_ / "cgroup.procs", fmt::format("{}", process));
}

bool Cgroup::EndedForMemory() const {
  const auto events = sys::ReadFile(path_ / "memory.events", kMaxGroupFile);
  if (!events) return false;
  for (const std::string_view line : Split(*events, '\n')) {
    constexpr std::string_view kKilled = "oom_kill ";
    if (line.starts_with(kKilled)) return ParseInt(line.substr(kKilled.size())).value_or(0) > 0;
  }
  return false;
}

}  // namespace pyro::jail
