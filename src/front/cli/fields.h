// Options, flags and arguments of the command line, made from the rows of a request (src/api).

#pragma once

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

// The same for all fields in the order of their rows, except a command's words and those of
// `without`.
void AddFields(CLI::App* command, const api::Struct& rows, void* object,
               std::initializer_list<std::string_view> without = {});

template <typename T>
void AddFields(CLI::App* command, T& object, std::initializer_list<std::string_view> without = {}) {
  AddFields(command, api::Rows<T>(), &object, without);
}

// The command of an operation with an example, made from its row: the arguments and options are the
// fields of its request. People get the fields of its result that are set, or its list as a table.
void AddRowCommand(CLI::App& parent, Context& context, const api::Operation& operation);

}  // namespace pyro::cli
