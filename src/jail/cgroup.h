// Bounds on what all processes of a jail take together, by the kernel's control groups (version 2),
// where this user has been given a part of their tree.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace pyro::jail {

// 0: no bound.
struct Bounds {
  std::uint64_t memory_bytes = 0;
  int processes = 0;    // Threads count.
  int cpu_percent = 0;  // 100: one processor.
  int niceness = 0;     // As in sys::SpawnOptions; of the group, too, if its kernel can set it.
};

// The nearest directory above the group in `own_groups` (the text of /proc/self/cgroup) in which
// this user may make groups with bounds on memory and processes. `root` is where groups of version
// 2 are mounted. Empty: there is none.
std::filesystem::path DelegatedGroup(const std::filesystem::path& root,
                                     std::string_view own_groups);

// The same for this process.
std::filesystem::path DelegatedGroup();

// A group. Destroying it removes it, once its processes are gone. Not thread-safe.
class Cgroup {
 public:
  // Below `parent`, with these bounds; it first removes those that killed processes of this user
  // left there. nullopt: `parent` is empty, or the kernel does not take the bounds.
  static std::optional<Cgroup> Make(const std::filesystem::path& parent, const Bounds& bounds);

  Cgroup(Cgroup&& other) noexcept;
  Cgroup& operator=(Cgroup&&) = delete;
  ~Cgroup();

  // The process, and all that it starts from now on.
  bool Add(pid_t process) const;

  // The kernel has ended a process of the group because its memory was at its bound.
  bool EndedForMemory() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit Cgroup(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;  // Empty once moved from.
};

}  // namespace pyro::jail
