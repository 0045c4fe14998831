// The verb `delete` of `pyro task` and of `pyro vm`.

#pragma once

#include <string>
#include <vector>

#include "front/cli/commands.h"
#include "pyro/engine.h"

namespace pyro::cli {

struct Deleted {
  std::string id;
  bool was_there = true;
};

struct Deletable {
  const char* noun;         // For people: "task", "VM".
  const char* tag;          // Of ids, in JSON and of the group: "task", "vm".
  const char* value;        // In --help: "TASK_ID", "VM_ID".
  const char* description;  // Of the command.
  Result<Deleted> (*remove)(Engine& engine, const std::string& id);
  Result<std::vector<std::string>> (*list)(Engine& engine);
};

// `what` must outlive the action.
void AddDelete(CLI::App& group, Context& context, const Deletable& what);

}  // namespace pyro::cli
