// pyro run

#include <memory>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

struct RunFlags {
  VmOptions vm;
  std::int64_t timeout_seconds = kDefaultTimeoutSeconds;
  bool quiet = false;
  bool timings = false;
};

void SayHowItEnded(const ExecResult& result, const RunFlags& flags) {
  ExplainOutcome(result, flags.quiet);
  if (!flags.quiet) {
    Talk(fmt::format("[run] environment={} execution_mode={} exit_code={} duration_ms={}\n",
                     result.environment, result.execution_mode, result.exit_code,
                     result.duration_ms));
  }
}

// On stderr, even with --quiet: the user asked for it.
void SayTimings(const Timings& timings) {
  struct Step {
    std::int64_t at;
    const char* what;
  };
  const std::vector<Step> steps = {
      {timings.prepared_ms, "environment, accelerator, disk and registry are there"},
      {timings.supervised_ms, "the supervisor listens"},
      {timings.machine_ms, "the machine runs"},
      {timings.ready_ms, "the guest takes commands"},
      {timings.first_output_ms, "the first output is here"},
      {timings.ended_ms, "the command has ended"},
      {timings.removed_ms, "nothing of the VM is left"},
  };
  std::string text =
      fmt::format("[timings] start={}\n", timings.start.empty() ? "none" : timings.start);
  std::int64_t before = 0;
  for (const Step& step : steps) {
    if (step.at < 0) continue;
    text += fmt::format("{:>7} ms {:>+6}  {}\n", step.at, step.at - before, step.what);
    before = step.at;
  }
  Talk(text);
}

int Run(Engine& engine, const Context& context, const RunFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.vm.environment);
  call.PassStdin();
  if (!context.json) call.PassOutput();
  Command command;
  command.argv = *context.command;
  const auto result = call.Run([&](const CallIo& io) {
    return engine.RunInVm(flags.vm, command, flags.timeout_seconds, io);
  });
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    Json document = ToJson(*result);
    document["command"] = command.argv;
    PrintJson(document);
  } else {
    SayHowItEnded(*result, flags);
    if (flags.timings) SayTimings(result->timings);
  }
  return result->exit_code;
}

}  // namespace

void RequireCommand(Context& context, const std::string& before) {
  context.takes_command = true;
  if (context.command && !context.command->empty()) return;
  throw CLI::ValidationError("there is no command to run",
                             fmt::format("put it after --, as in: {} -- git --version", before));
}

void ExplainOutcome(const ExecResult& result, bool quiet) {
  Explanation why = result.explanation;
  // A command that ran well has little to explain.
  if (why.message.empty() || (quiet && result.output_left_open)) return;
  constexpr std::string_view kArgument = "timeout_seconds";
  if (const std::size_t at = why.hint.find(kArgument); at != std::string::npos) {
    why.hint.replace(at, kArgument.size(), "--timeout-seconds");
  }
  Talk(fmt::format("pyro: {}\n", why.message));
  if (!why.hint.empty()) Talk(fmt::format("hint: {}\n", why.hint));
}

void AddRun(CLI::App& app, Context& context) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* run = app.add_subcommand("run", "Run one command in a microVM of its own");
  run->add_option("environment", flags->vm.environment,
                  "What the guest's disk holds; see 'pyro env list'")
      ->required()
      ->type_name("ENVIRONMENT");
  run->add_option("--vcpu-count", flags->vm.vcpu_count, "CPUs of the guest, 1 to 64")
      ->capture_default_str();
  run->add_option("--mem-mib", flags->vm.mem_mib, "Memory of the guest in MiB, from 128")
      ->capture_default_str();
  run->add_option("--timeout-seconds", flags->timeout_seconds,
                  "Kill the command so long after its start")
      ->capture_default_str();
  run->add_option("--ttl-seconds", flags->vm.ttl_seconds,
                  "Lease of the VM while no command runs in it")
      ->capture_default_str();
  run->add_flag("--network", flags->vm.network, "A way out; otherwise there is no network device");
  run->add_flag("--allow-host-compat", flags->vm.allow_host_compat,
                "Where no guest can be had: in a jail on this host");
  run->add_flag("--json", context.json, "One JSON document instead of live output");
  run->add_flag("--timings", flags->timings,
                "Where the time went, on stderr; --json has it always");
  run->add_flag("-q,--quiet", flags->quiet, "No progress and no closing line");
  run->footer(
      "The words after -- are run as they are, without a shell; stdin is passed on.\n"
      "Exits with the command's code; 124 timed out, 125 pyro failed,\n"
      "126 not executable, 127 not found, 128+n killed by signal n.\n\n"
      "Example:\n  pyro run debian:12 -- git --version\n"
      "  pyro run debian:12 -- sh -c 'curl --version | head -1'");
  run->callback([&context, flags] {
    context.failure_code = kExitPyroFailed;
    RequireCommand(context, "pyro run " + flags->vm.environment);
    context.action = [&context, flags](Engine& engine) { return Run(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
