// Ways out of a jail, each a few system calls of a process that has been taken over.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "takeover.h"

namespace pyro::escapes {

// What is outside.
struct Surroundings {
  std::string directory;   // Every user may write to it.
  std::string secret;      // A file in it that every user may read.
  std::string task_file;   // The same, named as a file of another user's task is.
  std::string socket;      // A listening socket with a path.
  std::string abstract;    // A listening socket with an abstract name.
  std::uint16_t port = 0;  // A listening one of the host's loopback.
  pid_t bystander = 0;     // A process of the same user.
};

// Who must be able to go this way outside.
enum class Needs {
  kNothing,
  kNamespaces,  // Root, or root of a user namespace with namespaces of its own.
  kRoot,
};

struct Way {
  const char* name;
  Needs needs;
  // Other kernels and their settings may close it for all.
  bool kernels_differ;
  // True: the way is open. Closed ways end the process, or are answered with an error.
  bool (*go)(Takeover& process, const Surroundings& outside);
};

std::span<const Way> Ways();

}  // namespace pyro::escapes
