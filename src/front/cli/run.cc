// pyro run

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

struct RunFlags : WordsFlags<RunRequest> {
  bool timings = false;
};

// On stderr, also with --quiet: it was asked for.
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

// Without words an image runs its own; other environments have none. A name that has neither ':'
// nor '/' is more likely that of a program than that of an image which could be pulled.
Status CheckWords(Engine& engine, const Context& context, const std::string& environment) {
  if (!context.without_words) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const auto known, engine.ListEnvironments());
  const auto found = std::find_if(known.begin(), known.end(), [&](const EnvironmentInfo& one) {
    return one.name == environment || one.name == environment + ":latest";
  });
  const bool image = found != known.end() ? !found->source.empty()
                                          : environment.find_first_of(":/") != std::string::npos;
  return image ? OkStatus() : Status(*context.without_words);
}

int Run(Engine& engine, const Context& context, const RunFlags& flags) {
  if (const Status words = CheckWords(engine, context, flags.request.environment); !words) {
    return Fail(words.error(), context);
  }
  Call call(StyleOf(context, flags.quiet), flags.request.environment);
  const auto result = call.RunWords(context, flags, [&](const Command& command, const CallIo& io) {
    return engine.RunInVm(flags.request, command, flags.request.timeout_seconds, io);
  });
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    Json document = ToJson(*result);
    document["command"] = context.command;
    PrintJson(document);
  } else {
    SayHowItEnded(*result, "run", flags.quiet);
    if (flags.timings) SayTimings(result->timings);
  }
  return result->exit_code;
}

}  // namespace

void AddRun(CLI::App& app, Context& context) {
  const auto flags = std::make_shared<RunFlags>();
  CLI::App* run = AddNamed(
      app, *api::FindOperation("run"),
      {.example = "pyro run debian:12 -- git --version\n"
                  "  pyro run debian:12 -- sh -c 'curl --version | head -1'",
       .note = "The words after -- are run as they are, without a shell; stdin is passed on.\n"
               "An image runs its own command if there are none: pyro run oci:REGISTRY/NAME:TAG\n"
               "Exits with the command's code; 124 timed out, 125 pyro failed,\n"
               "126 not executable, 127 not found, 128+n killed by signal n."});
  AddFields(run, flags->request);
  AddVariables(run, flags->variables);
  run->add_flag("--json", context.json, "Print one JSON document instead of live output");
  run->add_flag("--timings", flags->timings, "Print on stderr where the time went");
  run->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  OnChosen(
      run, context, [&context, flags](Engine& engine) { return Run(engine, context, *flags); },
      true);
}

}  // namespace pyro::cli
