// Options, flags and arguments of the command line, made from the rows of a request (src/api).

#pragma once

#include <functional>
#include <initializer_list>
#include <string_view>

#include "api/operations.h"
#include "api/rows.h"
#include "front/cli/commands.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI

namespace pyro::cli {

// Adds what sets the field of this name: an argument, or --name with dashes. The default is shown
// if it tells something. `object` lives as long as the parser.
CLI::Option* AddField(CLI::App* command, const api::Struct& rows, void* object,
                      std::string_view name);

template <typename T>
CLI::Option* AddField(CLI::App* command, T& object, std::string_view name) {
  return AddField(command, api::Rows<T>(), &object, name);
}

// The same for all fields in the order of their rows, except a command's words, its variables and
// those of `without`.
void AddFields(CLI::App* command, const api::Struct& rows, void* object,
               std::initializer_list<std::string_view> without = {});

template <typename T>
void AddFields(CLI::App* command, T& object, std::initializer_list<std::string_view> without = {}) {
  AddFields(command, api::Rows<T>(), &object, without);
}

// Of its own options, --env and --env-file (variables.h).
bool IsVariables(const api::Field& field);

// What a command says beside the row of its operation.
struct CommandTexts {
  const char* quiet = nullptr;  // What -q does; nullptr: there is no -q.
  const char* example = nullptr;
  const char* note = nullptr;  // Before the example.
};

// A command with the last word of the operation's name, its sentence, and a footer.
CLI::App* AddNamed(CLI::App& parent, const api::Operation& operation, const CommandTexts& texts);

// A command that is made from the row of its operation: the arguments and options are the fields of
// its request.
struct RowCommand {
  const char* operation;
  CommandTexts texts;
  bool waits = false;          // With progress; Ctrl-C cancels the call.
  const char* made = nullptr;  // What was done if the result cannot be printed; the id follows.
  bool reaps = true;           // As Context has it.
  // Prints the result for people; nullptr: the fields that are set, and nothing with -q, or its
  // list as a table, and with -q the first field of each element.
  std::function<void(const Context&, const void* result, bool quiet)> print = nullptr;
};
CLI::App* AddRowCommand(CLI::App& parent, Context& context, const RowCommand& form);

template <typename T>
CLI::App* AddRowCommand(CLI::App& parent, Context& context, RowCommand form,
                        void (*print)(const Context&, const T& result, bool quiet)) {
  form.print = [print](const Context& of, const void* result, bool quiet) {
    print(of, *static_cast<const T*>(result), quiet);
  };
  return AddRowCommand(parent, context, form);
}

}  // namespace pyro::cli
