// The command line as data: what completions offer, and what man pages and tests are made from.
// Everything is read off the parser, so that it cannot say anything else than --help.

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/cli.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pyro::cli {

// The command with its options, arguments and the commands below it.
Json DescribeCommand(const CLI::App& command);

// What may stand in place of the last of `words`, each on a line, with a tab and a description. The
// line ":files" stands for any path. Asks the engine for environments and tasks, and makes nothing.
std::string Completions(const CLI::App& app, const std::vector<std::string>& words,
                        const EngineFactory& make_engine);

}  // namespace pyro::cli
