// All processes of one command together, also those that fork or move to another session.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/killed.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

class ProcessTree {
 public:
  virtual ~ProcessTree() = default;

  // For sys::SpawnOptions::cgroup_fd; -1: there is no cgroup.
  virtual int cgroup_fd() const = 0;

  // Adds the processes in it, up to kMaxKilledListed, and their number.
  virtual void List(KilledTree& tree) const = 0;
  // True when no process is in it.
  virtual bool Empty() const = 0;

  // SIGKILL to every process in it.
  virtual void Kill() = 0;

  // True when no process was left in it and it is gone; otherwise try again later.
  virtual bool TryRemove() = 0;
};

class ProcessTrees {
 public:
  virtual ~ProcessTrees() = default;
  // `sequence`: the command's number in the journal, or 0.
  virtual Result<std::unique_ptr<ProcessTree>> Create(std::int64_t sequence) = 0;
};

// Trees that are cgroups (version 2) below one directory. That of a command of the journal is named
// after its sequence, so that the kernel knows whose process is whose.
class CgroupTrees : public ProcessTrees {
 public:
  explicit CgroupTrees(std::string directory) : directory_(std::move(directory)) {}
  Result<std::unique_ptr<ProcessTree>> Create(std::int64_t sequence) override;

 private:
  const std::string directory_;
  std::uint64_t next_ = 1;
};

}  // namespace pyro::agent
