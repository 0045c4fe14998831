// Commands without cgroups, for an agent that is a process of the host.

#pragma once

#include <cstdint>
#include <memory>

#include "agent/process_tree.h"

namespace pyro::agent {

// A tree that is no more than the process group, which the command kills by itself.
class NoTree : public ProcessTree {
 public:
  int cgroup_fd() const override { return -1; }
  void List(KilledTree&) const override {}
  bool Empty() const override { return true; }
  void Kill() override {}
  bool TryRemove() override { return true; }
};

class NoTrees : public ProcessTrees {
 public:
  Result<std::unique_ptr<ProcessTree>> Create(std::int64_t) override {
    return std::unique_ptr<ProcessTree>(std::make_unique<NoTree>());
  }
};

}  // namespace pyro::agent
