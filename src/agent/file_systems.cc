#include "agent/file_systems.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "agent/boot.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr const char* kStage = "/stage";

// The latencies of moving a process into a cgroup matter here, those of forking do not; kernels
// before 6.0 do not know the option.
Status MountCgroups() {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  Status status = Mount("cgroup", "/stage/sys/fs/cgroup", "cgroup2", kFlags, "favordynmods");
  if (!status) status = Mount("cgroup", "/stage/sys/fs/cgroup", "cgroup2", kFlags, nullptr);
  PYRO_RETURN_IF_ERROR(std::move(status));
  const std::string own = std::string(kStage) + kCgroupDirectory;
  if (::mkdir(own.c_str(), 0755) != 0) return sys::ErrnoError(errno, "make", own);
  return OkStatus();
}

// Each processor keeps freed pages for itself, which the host then does not get back. Since Linux
// 6.7 that is up to an eighth of the memory, for ever in an idle guest. Here it is a 256th at most.
// Kernels before 5.14 keep little anyway and lack the file.
void LimitKeptPages() {
  const std::string file = std::string(kStage) + "/proc/sys/vm/percpu_pagelist_high_fraction";
  const auto opened = sys::OpenFile(file, O_WRONLY | O_CLOEXEC);
  if (opened) (void)sys::WriteAll(opened->get(), "256\n");
}

}  // namespace

Result<sys::UniqueFd> PrepareFileSystems() {
  constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV;
  ::mkdir(kStage, 0755);
  PYRO_RETURN_IF_ERROR(Mount("proc", "/stage/proc", "proc", kPlain | MS_NOEXEC, nullptr));
  LimitKeptPages();
  PYRO_RETURN_IF_ERROR(Mount("sysfs", "/stage/sys", "sysfs", kPlain | MS_NOEXEC, nullptr));
  PYRO_RETURN_IF_ERROR(MountCgroups());
  PYRO_RETURN_IF_ERROR(Mount("devtmpfs", "/stage/dev", "devtmpfs", MS_NOSUID, "mode=0755"));
  PYRO_RETURN_IF_ERROR(Mount("devpts", "/stage/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                             "gid=5,mode=0620,ptmxmode=0666"));
  PYRO_RETURN_IF_ERROR(Mount("tmpfs", "/stage/dev/shm", "tmpfs", kPlain, "mode=1777"));
  PYRO_RETURN_IF_ERROR(Mount("tmpfs", "/stage/run", "tmpfs", kPlain, "mode=0755"));
  ::mkdir("/stage/run/lock", 01777);
  for (const auto& [target, link] : {std::pair{"/proc/self/fd", "/stage/dev/fd"},
                                     {"/proc/self/fd/0", "/stage/dev/stdin"},
                                     {"/proc/self/fd/1", "/stage/dev/stdout"},
                                     {"/proc/self/fd/2", "/stage/dev/stderr"}}) {
    if (::symlink(target, link) != 0 && errno != EEXIST)
      return sys::ErrnoError(errno, "make", link);
  }
  return sys::OpenFile(kStage, O_PATH | O_DIRECTORY);
}

Status PlaceFileSystems(const sys::UniqueFd& prepared) {
  for (const char* name : {"proc", "sys", "dev", "run"}) {
    const std::string target = std::string("/") + name;
    MakePlace(target.c_str());  // If that fails, the move fails too.
    if (::move_mount(prepared.get(), name, AT_FDCWD, target.c_str(), 0) != 0) {
      return sys::ErrnoError(errno, "mount", target);
    }
  }
  return OkStatus();
}

}  // namespace pyro::agent
