// pyro task network

#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

void PrintRules(const TaskNetwork& network) {
  for (const std::string& rule : network.network_rules) Print(fmt::format("Rule: {}\n", rule));
}

void PrintTaskNetwork(const Context&, const TaskNetwork& network, bool) {
  Print(fmt::format("Task: {}\nNetwork: {}\n", network.task_id,
                    network.network_enabled ? "yes" : "no"));
  if (!network.ipv6_address.empty()) Print(fmt::format("IPv6: {}\n", network.ipv6_address));
  PrintRules(network);
  Print(DeniedLines(network.denied));
}

void PrintRuleChange(const Context&, const TaskNetwork& network, bool quiet) {
  if (!quiet) PrintRules(network);
}

}  // namespace

void AddTaskNetwork(CLI::App& task, Context& context) {
  CLI::App* network = task.add_subcommand("network", "What a task may reach, and what was refused");
  network->require_subcommand(1);
  network->footer(
      "A change holds at once, and in the task's later guests.\n\n"
      "Example:\n  pyro task network show $id\n  pyro task network allow $id registry.example:443\n\n"
      "'pyro task network COMMAND --help' tells more.");
  AddRowCommand(
      *network, context,
      {.operation = "task network show", .texts = {.example = "pyro task network show $id"}},
      PrintTaskNetwork);
  AddRowCommand(*network, context,
                {.operation = "task network allow",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro task network allow $id registry.example:443 @pypi",
                           .note = "What it may reach already stays allowed."}},
                PrintRuleChange);
  AddRowCommand(*network, context,
                {.operation = "task network deny",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro task network deny $id '*.example'",
                           .note = "'pyro task network allow' with the same HOST takes it back."}},
                PrintRuleChange);
}

}  // namespace pyro::cli
