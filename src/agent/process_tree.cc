#include "agent/process_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

class Cgroup : public ProcessTree {
 public:
  Cgroup(std::string path, sys::UniqueFd procs)
      : path_(std::move(path)), procs_(std::move(procs)) {}

  int procs_fd() const override { return procs_.get(); }

  void Kill() override {
    const auto fd = sys::OpenFile(path_ + "/cgroup.kill", O_WRONLY);
    if (fd.ok()) (void)sys::WriteAll(fd->get(), "1");
  }

  bool TryRemove() override {
    procs_.Reset();
    return ::rmdir(path_.c_str()) == 0 || errno == ENOENT;
  }

 private:
  const std::string path_;
  sys::UniqueFd procs_;
};

}  // namespace

Result<std::unique_ptr<ProcessTree>> CgroupTrees::Create(std::int64_t sequence) {
  std::string path = sequence > 0 ? fmt::format("{}/{}", directory_, sequence)
                                  : fmt::format("{}/other-{}", directory_, next_++);
  if (::mkdir(path.c_str(), 0755) != 0) return sys::ErrnoError(errno, "make cgroup", path);
  auto procs = sys::OpenFile(path + "/cgroup.procs", O_WRONLY);
  if (!procs) {
    ::rmdir(path.c_str());
    return std::move(procs).error();
  }
  return std::unique_ptr<ProcessTree>(std::make_unique<Cgroup>(std::move(path), std::move(*procs)));
}

}  // namespace pyro::agent
