// pyro policy

#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "front/cli/commands.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"

namespace pyro::cli {
namespace {

void PrintPolicyAnswer(const Context&, const PolicyAnswer& answer, bool) {
  if (answer.allowed) return Print(fmt::format("{}: allowed\n", answer.host));
  Print(fmt::format("{}: refused: {}\n", answer.host, answer.why));
  if (!answer.rule.empty()) Print(fmt::format("allow it with: --allow {}\n", answer.rule));
}

}  // namespace

void AddPolicy(CLI::App& app, Context& context) {
  CLI::App* policy = app.add_subcommand("policy", "What a guest's network would reach");
  policy->require_subcommand(1);
  policy->footer("Example:\n  pyro policy check --allow @pypi pypi.example:443");
  AddRowCommand(*policy, context,
                {.operation = "policy check",
                 .texts = {.example = "pyro policy check --policy rules registry.example:443"}},
                PrintPolicyAnswer);
}

}  // namespace pyro::cli
