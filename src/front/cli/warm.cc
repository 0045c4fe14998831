// pyro warm

#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

std::string Line(const SparePoolInfo& pool) {
  std::string text = fmt::format("{}: {} of {} spares are ready; {} vCPU, {} MiB{}",
                                 pool.environment, pool.waiting, pool.count, pool.vcpu_count,
                                 pool.mem_mib, pool.network ? ", network" : "");
  if (!pool.expires_at.empty()) text += fmt::format("; until {} if unused", pool.expires_at);
  // No other process takes or ends these.
  if (pool.expires_at.empty() && pool.count > 0) text += "; for one 'pyro mcp serve' alone";
  return text + "\n";
}

int ListPools(Engine& engine, const Context& context) {
  const auto pools = engine.ListSparePools();
  if (!pools) return Fail(pools.error(), context);
  if (context.json) {
    PrintJson(ToJson(SparePools{*pools}));
    return kExitOk;
  }
  for (const SparePoolInfo& pool : *pools) Print(Line(pool));
  if (pools->empty()) Talk("pyro: no spares are kept\nhint: pyro warm debian:12 --count 2\n");
  return kExitOk;
}

int Warm(Engine& engine, const Context& context, const CallFlags<KeepSparesRequest>& flags) {
  if (flags.request.environment.empty()) return ListPools(engine, context);
  Call call(StyleOf(context, flags.quiet), flags.request.environment);
  const auto pool = call.Run(
      [&](const CallIo& io) { return engine.KeepSpares(flags.request, flags.request.count, io); });
  if (!pool) return Fail(pool.error(), context);
  if (context.json) {
    PrintJson(ToJson(*pool));
  } else if (!flags.quiet) {
    Print(Line(*pool));
  }
  return kExitOk;
}

}  // namespace

void AddWarm(CLI::App& app, Context& context) {
  const auto flags = std::make_shared<CallFlags<KeepSparesRequest>>();
  CLI::App* warm = AddNamed(
      app, *api::FindOperation("warm"),
      {.example = "pyro warm debian:12 --count 2\n  pyro warm debian:12 --count 0",
       .note = "A run or a new task takes one that was made with the same options; another takes\n"
               "its place. A task that names another --disk-mib takes none.\n"
               "Each is a machine of its own, used once. They hold memory while they wait."});
  AddFields(warm, flags->request);
  warm->get_option("environment")->required(false);  // Without it the command lists.
  AddJson(warm, context);
  warm->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  OnChosen(warm, context,
           [&context, flags](Engine& engine) { return Warm(engine, context, *flags); });
}

}  // namespace pyro::cli
