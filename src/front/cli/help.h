// --help: what a person needs on one screen of 80 columns.

#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class FormatterBase;
class Option;
}  // namespace CLI

namespace pyro::cli {

std::shared_ptr<CLI::FormatterBase> HelpFormatter();

// What --help prints of the command.
std::string HelpOf(const CLI::App& command);

// Such as "pyro task exec [OPTIONS] TASK_ID -- COMMAND…".
std::string Usage(const CLI::App& command);

// The options with dashes, and the arguments, in their order.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& command);
std::vector<const CLI::Option*> PositionalsOf(const CLI::App& command);

// The commands below `command`, in their order.
std::vector<const CLI::App*> CommandsBelow(const CLI::App& command);

// False for a flag.
bool TakesValue(const CLI::Option& option);

// What an option's value is called, such as N or PATH; empty for a flag.
std::string ValueName(const CLI::Option& option);

}  // namespace pyro::cli
