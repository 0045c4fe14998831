// Adds commands and common options to the parser.

#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include "front/cli/commands.h"

namespace pyro::cli {

// A command with flags of its own, which runs `action` when it is chosen. `flags` live as long as
// the action may run.
template <typename Flags>
CLI::App* AddCommand(CLI::App& parent, Context& context, const char* name, const char* description,
                     const std::shared_ptr<Flags>& flags,
                     int (*action)(Engine&, const Context&, const Flags&)) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->callback([&context, flags, action] {
    context.action = [&context, flags, action](Engine& engine) {
      return action(engine, context, *flags);
    };
  });
  return command;
}

inline void AddJson(CLI::App* command, Context& context) {
  command->add_flag("--json", context.json, "Print JSON");
}

}  // namespace pyro::cli
