// Adds commands and common options to the parser.

#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>

#include "api/operations.h"
#include "front/cli/commands.h"
#include "front/cli/fields.h"
#include "front/cli/variables.h"

namespace pyro::cli {

inline void AddJson(CLI::App* command, Context& context) {
  command->add_flag("--json", context.json, "Print JSON");
}

// Runs `action` when the command is chosen. A command with words after -- exits with their code.
inline void OnChosen(CLI::App* command, Context& context, std::function<int(Engine&)> action,
                     bool runs_words = false) {
  command->callback([&context, runs_words, action = std::move(action)] {
    if (runs_words) context.failure_code = kExitPyroFailed;
    context.action = action;
  });
}

// What the commands of most operations take.
template <typename Request>
struct CallFlags {
  Request request;
  bool quiet = false;
};

// What commands take that run the words after --.
template <typename Request>
struct WordsFlags : CallFlags<Request> {
  VariableFlags variables;
};

// The command of an operation, with --json, and what sets `flags`: the fields of its request and,
// if the texts say what it does, -q.
template <typename Flags>
CLI::App* AddOperation(CLI::App& parent, Context& context, const char* operation,
                       const CommandTexts& texts, const std::shared_ptr<Flags>& flags,
                       int (*action)(Engine&, const Context&, const Flags&)) {
  const api::Operation& row = *api::FindOperation(operation);
  CLI::App* command = AddNamed(parent, row, texts);
  AddJson(command, context);
  AddFields(command, flags->request);
  if constexpr (requires { flags->variables; }) AddVariables(command, flags->variables);
  if (texts.quiet != nullptr) command->add_flag("-q,--quiet", flags->quiet, texts.quiet);
  OnChosen(
      command, context,
      [&context, flags, action](Engine& engine) { return action(engine, context, *flags); },
      (row.needs & api::kCommand) != 0);
  return command;
}

}  // namespace pyro::cli
