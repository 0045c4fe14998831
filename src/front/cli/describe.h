// The command line as data, for completions, man pages and tests. It comes from the parser, so that
// it always agrees with --help.

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "front/cli/cli.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pyro::cli {

// The command with its options, arguments and the commands below it.
Json DescribeCommand(const CLI::App& command);

// The candidates for the last of `words`, each on a line, with a tab and a description. The line
// ":files" stands for any path. Asks the engine for environments and tasks, and creates no file.
std::string Completions(const CLI::App& app, const std::vector<std::string>& words,
                        const EngineFactory& make_engine);

}  // namespace pyro::cli
