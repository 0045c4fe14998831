// A directory in memory, where a sync takes no time; removed at the end.

#pragma once

#include <stdlib.h>

#include <filesystem>

#include "base/check.h"
#include "sys/files.h"

namespace pyro {

class MemoryDirectory {
 public:
  MemoryDirectory() {
    char name[] = "/dev/shm/pyro-fuzz-XXXXXX";  // The form that mkdtemp(3) fills in.
    PYRO_CHECK(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~MemoryDirectory() { (void)sys::RemoveTree(path_); }
  MemoryDirectory(const MemoryDirectory&) = delete;
  MemoryDirectory& operator=(const MemoryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pyro
