// --help on one screen of 80 columns.

#pragma once

#include <memory>
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class FormatterBase;
class Option;
}  // namespace CLI

namespace pyro::cli {

std::shared_ptr<CLI::FormatterBase> HelpFormatter();

// Such as "pyro task exec [OPTIONS] TASK_ID -- COMMAND…".
std::string Usage(const CLI::App& command);

// The name of an option's value, such as N or PATH; empty for a flag.
std::string ValueName(const CLI::Option& option);

}  // namespace pyro::cli
