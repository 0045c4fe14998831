// pyro warm

#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/values.h"

namespace pyro::cli {
namespace {

constexpr std::int64_t kDefaultLease = 3600;  // Seconds.

struct WarmFlags {
  VmOptions vm;
  std::int64_t count = 1;
  bool quiet = false;
};

std::string Line(const SparePoolInfo& pool) {
  std::string text = fmt::format("{}: {} of {} spares are ready; {} vCPU, {} MiB{}",
                                 pool.environment, pool.waiting, pool.count, pool.vcpu_count,
                                 pool.mem_mib, pool.network ? ", network" : "");
  if (!pool.expires_at.empty()) text += fmt::format("; until {} if unused", pool.expires_at);
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

int Keep(Engine& engine, const Context& context, const WarmFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.vm.environment);
  const auto pool =
      call.Run([&](const CallIo& io) { return engine.KeepSpares(flags.vm, flags.count, io); });
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
  auto flags = std::make_shared<WarmFlags>();
  flags->vm.ttl_seconds = kDefaultLease;
  CLI::App* warm =
      app.add_subcommand("warm", "Keep microVMs waiting that 'pyro run' takes at once");
  warm->add_option("environment", flags->vm.environment,
                   "What to keep ready; without it, show all that is kept")
      ->type_name("ENVIRONMENT");
  AddNumber(warm, "--count", flags->count, {.least = 0}, "Keep N ready, up to 64; 0 ends them")
      ->capture_default_str();
  AddVmOptions(warm, flags->vm);
  AddSeconds(warm, "--ttl-seconds", flags->vm.ttl_seconds,
             "Remove them if none is taken for N seconds; units s, m, h, d")
      ->capture_default_str();
  AddJson(warm, context);
  warm->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  warm->footer(
      "A run takes one that was made with the same options; another takes its place.\n"
      "Each is a machine of its own, used once. They hold memory while they wait.\n\n"
      "Example:\n  pyro warm debian:12 --count 2\n  pyro warm debian:12 --count 0");
  warm->callback([&context, flags] {
    context.action = [&context, flags](Engine& engine) {
      if (flags->vm.environment.empty()) return ListPools(engine, context);
      return Keep(engine, context, *flags);
    };
  });
}

}  // namespace pyro::cli
