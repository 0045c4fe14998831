// Finds the mistake in a command line and describes it with the words of that line. The parser
// itself would only list the words that are left over, from the back.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/error.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pyro::cli {

// Callbacks of the parser throw it, and Main reports it. It is an exception because the parser has
// no other way to return an error.
class UsageError {
 public:
  UsageError(std::string message, std::string hint)
      : error_(MakeError(ErrorCode::kInvalidArgument, std::move(message), std::move(hint))) {}
  const Error& error() const { return error_; }

 private:
  Error error_;
};

// The words of a command line.
struct Words {
  std::vector<std::string> own;  // Before the first "--", without the program's name.
  // The words after it: of a command that runs none, arguments that may begin with '-'. nullopt:
  // there is no "--".
  std::optional<std::vector<std::string>> command;
};

// The chosen command, the first mistake, and where the arguments are in Words::own.
struct Reading {
  const CLI::App* command;
  std::optional<Error> mistake;
  std::vector<std::size_t> arguments;
  // The mistake if the environment has no command of its own, as images have one.
  std::optional<Error> without_words;
};

// Checks the names of options and commands, the number of words, empty words, and a "--" that is
// missing or useless. The parser checks the values of options. With --help only the names of
// commands are checked.
Reading ReadWords(const CLI::App& app, const Words& words);

// The command below `command` with that name or alias, or nullptr.
const CLI::App* FindBelow(const CLI::App& command, std::string_view name);

// The error for an unknown command: the word at `at` of `line` names no command below `command`.
Error UnknownCommand(const CLI::App& command, const Words& line, std::size_t at);

// Such as "pyro task exec".
std::string FullName(const CLI::App& command);

// Whether the command runs the words after "--".
bool RunsWords(const CLI::App& command);

}  // namespace pyro::cli
