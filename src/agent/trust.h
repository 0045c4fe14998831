// What the programs of a guest trust beside the image's own authorities: that of the guest's proxy.
// It is in memory alone, and found by variables that programs know.

#pragma once

#include <map>
#include <string>

#include "pyro/result.h"

namespace pyro::agent {

class Trust {
 public:
  // `certificate` in PEM; empty: nothing is done.
  explicit Trust(std::string certificate = {}) : certificate_(std::move(certificate)) {}

  // Writes the file, with the image's own authorities, unless it is as they are now: a command may
  // have installed them. A guest that cannot write it goes on without.
  void Refresh();

  // Of commands: the names by which programs look for such a file.
  std::map<std::string, std::string> Variables() const;

 private:
  std::string certificate_;
  std::string written_;  // Which authorities the file has: path, size and time of their file.
};

}  // namespace pyro::agent
