// The variables of a command, as docker's options give them.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pyro::cli {

using Variables = std::map<std::string, std::string>;

struct VariableFlags {
  std::vector<std::string> env;        // NAME=VALUE, or NAME for what we have under it.
  std::vector<std::string> env_files;  // Paths.
};

// --env, with this text in --help, and --env-file.
void AddVariables(CLI::App* command, VariableFlags& flags,
                  const char* text = "Set a variable; NAME alone passes ours; repeatable");

// All of them: of those with the same name the last one counts, and --env before any file. A NAME
// alone that our environment lacks is left out. Errors show names and lines' numbers, no values:
// kInvalidArgument, or why a file could not be read.
Result<Variables> ReadVariables(const VariableFlags& flags);

// Whether the word is NAME=VALUE, as --env takes it.
bool LooksLikeVariable(std::string_view word);

// Adds the variables of a file's text: one NAME=VALUE in a line, the value as it is, or a NAME
// alone. Lines that are empty or begin with # are left out. `file` is its name in errors.
Status AddFromText(std::string_view text, std::string_view file, Variables& variables);

}  // namespace pyro::cli
