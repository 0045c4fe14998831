// pyro warm

#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

constexpr std::int64_t kDefaultLease = 3600;  // Seconds.

struct WarmFlags {
  VmOptions vm;
  std::int64_t count = 1;
  bool quiet = false;
};

std::string Line(const SparePoolInfo& pool) {
  std::string text =
      fmt::format("{}: {} of {} spares wait; {} vCPU, {} MiB{}", pool.environment, pool.waiting,
                  pool.count, pool.vcpu_count, pool.mem_mib, pool.network ? ", network" : "");
  if (!pool.expires_at.empty()) text += fmt::format("; until {} if unused", pool.expires_at);
  return text + "\n";
}

int ListPools(Engine& engine, const Context& context) {
  const auto pools = engine.ListSparePools();
  if (!pools) return Fail(pools.error(), context);
  if (context.json) {
    PrintJson(ToJson(*pools));
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
  warm->add_option("environment", flags->vm.environment, "Whose; without it, show what is kept")
      ->type_name("ENVIRONMENT");
  warm->add_option("--count", flags->count, "How many to keep, up to 64; 0 ends them")
      ->capture_default_str();
  warm->add_option("--vcpu-count", flags->vm.vcpu_count, "CPUs of each, 1 to 64")
      ->capture_default_str();
  warm->add_option("--mem-mib", flags->vm.mem_mib, "Memory of each in MiB, from 128")
      ->capture_default_str();
  warm->add_option("--ttl-seconds", flags->vm.ttl_seconds,
                   "They go when none was taken for so long")
      ->capture_default_str();
  warm->add_flag("--network", flags->vm.network, "With a way out, for runs with --network");
  warm->add_flag("--json", context.json, "Print JSON");
  warm->add_flag("-q,--quiet", flags->quiet, "No progress and no closing line");
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
