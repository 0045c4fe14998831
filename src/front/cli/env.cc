// pyro env list | pull | inspect | prune

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/commands.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/signals.h"
#include "pyro/version.h"

namespace pyro::cli {
namespace {

std::string PaintedState(const EnvironmentInfo& info) {
  if (info.broken) return Paint(STDOUT_FILENO, Colour::kRed, "broken");
  return info.installed ? Paint(STDOUT_FILENO, Colour::kGreen, "installed") : "not installed";
}

int ListEnvironments(Engine& engine, const Context& context, bool quiet) {
  const auto environments = engine.ListEnvironments();
  if (!environments) return Fail(environments.error(), context);
  if (context.json) {
    PrintJson(ToJson(EnvironmentList{.environments = *environments}));
    return kExitOk;
  }
  if (quiet) {
    for (const EnvironmentInfo& info : *environments) Print(info.name + "\n");
    return kExitOk;
  }
  Print(fmt::format("Catalog version: {}\n", kVersion));
  for (const EnvironmentInfo& info : *environments) {
    Print(fmt::format("{} [{}] {}\n", info.name, PaintedState(info), info.description));
  }
  return kExitOk;
}

void SayPulled(const PulledEnvironment& pulled) {
  Print(fmt::format("{} {} ({}, {})\n", pulled.info.name,
                    pulled.built ? "installed" : "was installed already",
                    FormatBytes(pulled.info.size_bytes), pulled.info.digest.substr(0, 12)));
}

// One after the other. If one cannot be pulled, the others still are; Ctrl-C ends all.
int Pull(Engine& engine, const Context& context, const std::vector<std::string>& names,
         bool quiet) {
  Call call(quiet ? Progress::Style::kQuiet : Progress::Style::kPhaseLines, names.front());
  const bool single = names.size() == 1;
  Json environments = Json::array();
  int code = kExitOk;
  for (const std::string& name : names) {
    call.progress().Begin(name);
    const auto pulled =
        call.Run([&](const CallIo& io) { return engine.PullEnvironment(name, io); });
    if (pulled) {
      environments.push_back(ToJson(*pulled));
      if (!quiet && !context.json) SayPulled(*pulled);
      continue;
    }
    if (CaughtSignal() != 0) {
      Talk(fmt::format("pyro: cancelled; {} installed\n",
                       single ? "nothing was" : name + " was not"));
    }
    if (single || CaughtSignal() != 0) return Fail(pulled.error(), context);
    code = kExitFailed;
    Json entry = ToJson(pulled.error());
    entry["environment"] = name;
    environments.push_back(std::move(entry));
    ReportError(pulled.error(), false);
  }
  if (!context.json) return code;
  PrintJson(single ? environments.front()
                   : Json{{"count", environments.size()}, {"environments", environments}});
  return code;
}

void PrintSection(std::string_view title, const std::vector<std::string>& lines) {
  Print(fmt::format("{}:\n", title));
  for (const std::string& line : lines) Print("  " + Printable(line, 400) + "\n");
}

int Inspect(Engine& engine, const Context& context, const InspectEnvironmentRequest& request) {
  const auto details = engine.InspectEnvironment(
      request.environment, request.verify ? Engine::Verify::kYes : Engine::Verify::kNo);
  if (!details) return Fail(details.error(), context);
  if (context.json) {
    PrintJson(ToJson(*details));
    return kExitOk;
  }
  Print(
      fmt::format("Environment: {}\nDescription: {}\nDigest: {}\nInstalled: {}\nSize: "
                  "{}\nDirectory: {}\nKernel: {} ({})\n",
                  request.environment, details->info.description, details->info.digest,
                  details->info.installed_at, FormatBytes(details->info.size_bytes),
                  details->directory, details->kernel_release, details->kernel_package));
  PrintSection("Files", details->files);
  PrintSection("Package sources", details->apt_sources);
  PrintSection("Built with", details->tools);
  std::vector<std::string> templates;
  for (const TemplateInfo& info : details->templates) {
    templates.push_back(fmt::format("{} vCPU, {} MiB{}{}: {}, made {}, last used {}",
                                    info.vcpu_count, info.mem_mib, info.network ? ", network" : "",
                                    info.new_disk ? ", new disk" : "", FormatBytes(info.size_bytes),
                                    info.made_at, info.last_used_at));
  }
  PrintSection("Templates for warm starts", templates);
  Print(fmt::format("Packages: {} (listed with --json)\n", details->packages.size()));
  return kExitOk;
}

int Prune(Engine& engine, const Context& context, bool all) {
  const auto pruned =
      engine.PruneEnvironments(all ? Engine::PruneScope::kAll : Engine::PruneScope::kLeftovers);
  if (!pruned) return Fail(pruned.error(), context);
  if (context.json) {
    PrintJson(ToJson(*pruned));
    return kExitOk;
  }
  for (const auto& item : pruned->removed) {
    Print(fmt::format("removed {} {} {} ({})\n", item.environment, item.what,
                      item.digest.substr(0, 12), FormatBytes(item.bytes)));
  }
  for (const std::string& name : pruned->skipped)
    Talk(fmt::format("pyro: {} is being pulled, left alone\n", name));
  Print(fmt::format("{} freed\n", FormatBytes(pruned->bytes_freed)));
  return kExitOk;
}

}  // namespace

void AddEnv(CLI::App& app, Context& context) {
  CLI::App* env = app.add_subcommand("env", "The environments: what a guest's disk holds");
  env->require_subcommand(1);
  env->footer("Example:\n  pyro env list\n\n'pyro env COMMAND --help' tells more.");
  const auto add = [&](const char* name, const char* description,
                       std::function<int(Engine&)> action) {
    CLI::App* command = env->add_subcommand(name, description);
    command->add_flag("--json", context.json, "Print JSON");
    command->callback([&context, action] { context.action = action; });
    return command;
  };
  auto names = std::make_shared<std::vector<std::string>>();
  auto details = std::make_shared<InspectEnvironmentRequest>();
  auto removal = std::make_shared<PruneEnvironmentsRequest>();
  auto quiet = std::make_shared<bool>(false);

  CLI::App* list =
      add("list", "Show the catalog and what is installed",
          [&context, quiet](Engine& engine) { return ListEnvironments(engine, context, *quiet); });
  list->alias("ls");
  list->add_flag("-q,--quiet", *quiet, "Print names only");
  list->footer("Example:\n  pyro env list --json");

  CLI::App* pull = add(
      "pull", "Build and install environments, or repair them",
      [&context, names, quiet](Engine& engine) { return Pull(engine, context, *names, *quiet); });
  pull->add_flag("-q,--quiet", *quiet, "Print no progress and no closing line");
  pull->add_option("environment", *names, "One or more, such as debian:12")
      ->required()
      ->type_name("ENVIRONMENT");
  pull->footer(
      "Takes packages from the host's own Debian mirror, and one to two minutes; longer\n"
      "on a slow host or line. What is installed already takes no time.\n\n"
      "Example:\n  pyro env pull debian:12");

  CLI::App* inspect =
      add("inspect", "Show what an installed environment consists of",
          [&context, details](Engine& engine) { return Inspect(engine, context, *details); });
  AddFields(inspect, *details);
  inspect->footer("Example:\n  pyro env inspect --verify debian:12");

  CLI::App* prune =
      add("prune", "Remove what is broken, interrupted or superseded",
          [&context, removal](Engine& engine) { return Prune(engine, context, removal->all); });
  AddFields(prune, *removal);
  prune->footer("Example:\n  pyro env prune");
}

}  // namespace pyro::cli
