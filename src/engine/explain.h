// What to tell the caller of a command whose exit code alone does not say enough: a command that
// did not start, was killed at its limit, or left processes behind that still print.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::engine {

struct CommandFacts {
  const std::vector<std::string>& argv;  // Borrowed.
  wire::Outcome outcome;
  std::int64_t timeout_ms = 0;
  std::string_view accelerator;   // "kvm", "tcg", or empty if it is not known or there is none.
  bool output_left_open = false;  // As in wire::Exited.
  bool in_task = false;           // Its guest goes on after the command.
};

// Empty if there is nothing to add to the outcome.
Explanation Explain(const CommandFacts& facts);

}  // namespace pyro::engine
