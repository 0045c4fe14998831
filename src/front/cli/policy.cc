// pyro policy

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/commands.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

// So that a script can ask: a host that is refused is a failure.
int Check(Engine& engine, const Context& context, const CallFlags<CheckPolicyRequest>& flags) {
  const auto answer = engine.CheckPolicy(flags.request);
  if (!answer) return Fail(answer.error(), context);
  if (context.json) {
    PrintJson(ToJson(*answer));
  } else if (answer->allowed) {
    Print(fmt::format("{}: allowed\n", answer->host));
  } else {
    Print(fmt::format("{}: refused: {}\n", answer->host, answer->why));
    if (!answer->rule.empty()) Print(fmt::format("allow it with: --allow {}\n", answer->rule));
  }
  return answer->allowed ? kExitOk : kExitFailed;
}

}  // namespace

void AddPolicy(CLI::App& app, Context& context) {
  CLI::App* policy = app.add_subcommand("policy", "What a guest's network would reach");
  policy->require_subcommand(1);
  policy->footer("Example:\n  pyro policy check --allow @pypi pypi.example:443");
  AddOperation(*policy, context, "policy check",
               {.example = "pyro policy check --policy rules registry.example:443",
                .note = "Exits with 0 if it would be reached, 1 if it is refused."},
               std::make_shared<CallFlags<CheckPolicyRequest>>(), Check);
}

}  // namespace pyro::cli
