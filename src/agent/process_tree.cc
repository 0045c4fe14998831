#include "agent/process_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kMaxPidsBytes = 512 * 1024;

class Cgroup : public ProcessTree {
 public:
  Cgroup(std::string path, sys::UniqueFd directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}

  int cgroup_fd() const override { return directory_.get(); }

  void List(KilledTree& tree) const override {
    const auto pids = sys::ReadFile(path_ + "/cgroup.procs", kMaxPidsBytes);
    if (!pids) return;
    for (const std::string_view line : Split(*pids, '\n')) {
      const auto pid = ParseInt(line);
      if (!pid || *pid < 1) continue;
      ++tree.count;
      if (tree.processes.size() == kMaxKilledListed) continue;
      // Of its files this one never waits for the process.
      auto name = sys::ReadFile(fmt::format("/proc/{}/comm", *pid), 64);
      std::string text = name ? std::move(*name) : std::string();
      while (text.ends_with('\n')) text.pop_back();
      tree.processes.push_back({*pid, std::move(text)});
    }
  }

  bool Empty() const override {
    const auto events = sys::ReadFile(path_ + "/cgroup.events", 4096);
    return !events || events->find("populated 1") == std::string::npos;
  }

  void Kill() override {
    const auto fd = sys::OpenFile(path_ + "/cgroup.kill", O_WRONLY);
    if (fd.ok()) (void)sys::WriteAll(fd->get(), "1");
  }

  bool TryRemove() override {
    directory_.Reset();
    return ::rmdir(path_.c_str()) == 0 || errno == ENOENT;
  }

 private:
  const std::string path_;
  sys::UniqueFd directory_;
};

}  // namespace

Result<std::unique_ptr<ProcessTree>> CgroupTrees::Create(std::int64_t sequence) {
  std::string path = sequence > 0 ? fmt::format("{}/{}", directory_, sequence)
                                  : fmt::format("{}/other-{}", directory_, next_++);
  if (::mkdir(path.c_str(), 0755) != 0) return sys::ErrnoError(errno, "make cgroup", path);
  auto directory = sys::OpenFile(path, O_RDONLY | O_DIRECTORY);
  if (!directory) {
    ::rmdir(path.c_str());
    return std::move(directory).error();
  }
  return std::unique_ptr<ProcessTree>(
      std::make_unique<Cgroup>(std::move(path), std::move(*directory)));
}

}  // namespace pyro::agent
