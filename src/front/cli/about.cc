// pyro help | version

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "front/cli/commands.h"
#include "front/cli/help.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/usage.h"
#include "pyro/version.h"

namespace pyro::cli {

void AddHelp(CLI::App& app, Context& context) {
  const auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* help = app.add_subcommand("help", "Print the help of a command");
  help->add_option("command", *names, "The command, such as 'task exec'; without it, all of pyro")
      ->type_name("COMMAND");
  help->footer("Example:\n  pyro help task exec");
  help->callback([&app, &context, names] {
    const CLI::App* command = &app;
    for (std::size_t i = 0; i < names->size(); ++i) {
      const CLI::App* below = FindBelow(*command, (*names)[i]);
      if (below == nullptr) {
        const Error error = UnknownCommand(*command, {*names, {}}, i);
        throw UsageError(error.message, error.hint);
      }
      command = below;
    }
    context.answer = [command] {
      Print(HelpOf(*command));
      return kExitOk;
    };
  });
}

void AddVersion(CLI::App& app, Context& context) {
  CLI::App* version = app.add_subcommand("version", "Print the version");
  AddJson(version, context);
  version->footer("Example:\n  pyro version");
  version->callback([&context] {
    context.answer = [&context] {
      if (context.json) {
        PrintJson({{"version", kVersion}});
      } else {
        Print(fmt::format("pyro {}\n", kVersion));
      }
      return kExitOk;
    };
  });
}

}  // namespace pyro::cli
