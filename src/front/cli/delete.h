// The verb `delete` of `pyro task` and of `pyro vm`.

#pragma once

#include "front/cli/commands.h"

namespace pyro::cli {

struct Deletable {
  const char* noun;   // For people: "task", "VM".
  const char* tag;    // Of ids, in JSON, and of the group: "task", "vm".
  const char* value;  // In --help: "TASK_ID", "VM_ID".
};

void AddDelete(CLI::App& group, Context& context, const Deletable& what);

}  // namespace pyro::cli
