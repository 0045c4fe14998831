// pyro env, all but commit and export

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
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/signals.h"

namespace pyro::cli {
namespace {

std::string PaintedState(const EnvironmentInfo& info) {
  if (info.broken) return Paint(STDOUT_FILENO, Colour::kRed, "broken");
  if (info.outdated) return Paint(STDOUT_FILENO, Colour::kYellow, "outdated");
  return info.installed ? Paint(STDOUT_FILENO, Colour::kGreen, "installed") : "not installed";
}

// Of an image: where it came from, its size, its digest there and its last use.
std::string ImageLine(const EnvironmentInfo& info) {
  return fmt::format("{}, {}, {}, {}", info.source, FormatBytes(info.size_bytes),
                     info.image_digest.substr(0, 19),
                     info.last_used_at.empty() ? "never used" : "last used " + info.last_used_at);
}

void PrintEnvironments(const Context&, const EnvironmentList& list, bool quiet) {
  if (!quiet) Print(fmt::format("Catalog version: {}\n", list.catalog_version));
  std::string outdated;
  for (const EnvironmentInfo& info : list.environments) {
    const bool image = !info.source.empty();
    Print(quiet ? info.name + "\n"
                : fmt::format("{} [{}] {}\n", info.name, PaintedState(info),
                              Printable(image ? ImageLine(info) : info.description, 400)));
    if (info.outdated) outdated += " " + info.name;
  }
  if (!quiet && !outdated.empty()) {
    Talk("pyro: what is outdated still runs; build what the catalog names now: pyro env pull" +
         outdated + "\n");
  }
}

struct PullFlags {
  PullEnvironmentRequest request;  // Without the environment.
  std::vector<std::string> names;
  bool quiet = false;
};

void SayPulled(const PulledEnvironment& pulled) {
  Print(fmt::format("{} {} ({}, {})\n", pulled.info.name,
                    pulled.built ? "installed" : "was installed already",
                    FormatBytes(pulled.info.size_bytes), pulled.info.digest.substr(0, 12)));
}

// Also with --quiet: what works on other hosts may fail here for it.
void SayLeftOut(const PulledEnvironment& pulled) {
  for (const std::string& line : pulled.left_out) {
    Talk(fmt::format("pyro: {}: {}\n", pulled.info.name, Printable(line, 400)));
  }
}

// One after the other. If one cannot be pulled, the others still are; Ctrl-C ends all.
int Pull(Engine& engine, const Context& context, const PullFlags& flags) {
  if (flags.names.size() > 1 && !flags.request.name.empty()) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--name is given for several environments",
                          "pull them one by one"),
                context);
  }
  Call call(flags.quiet ? Progress::Style::kQuiet : Progress::Style::kPhaseLines,
            flags.names.front());
  const bool single = flags.names.size() == 1;
  Json environments = Json::array();
  int code = kExitOk;
  for (const std::string& name : flags.names) {
    call.progress().Begin(name);
    const auto pulled = call.Run([&](const CallIo& io) {
      PullEnvironmentRequest request = flags.request;
      request.environment = name;
      return engine.PullEnvironment(request, io);
    });
    if (pulled) {
      SayLeftOut(*pulled);
      environments.push_back(ToJson(*pulled));
      if (!flags.quiet && !context.json) SayPulled(*pulled);
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

void PrintImage(const ImageInfo& image) {
  const auto line = [](std::string_view name, const std::string& value) {
    Print(fmt::format("{}: {}\n", name, value.empty() ? "-" : Printable(value, 1000)));
  };
  line("Source", image.source);
  line("Digest there", image.source_digest);
  line("Manifest", image.manifest_digest);
  Print(fmt::format("Layers: {} ({} compressed)\n", image.layers.size(),
                    FormatBytes(image.layer_bytes)));
  line("Architecture", image.architecture);
  line("User", image.user);
  line("Working directory", image.working_dir);
  line("Entrypoint", ShellJoin(image.entrypoint));
  line("Command", ShellJoin(image.command));
  line("Stop signal", image.stop_signal);
  PrintSection("Variables", image.env);
  if (!image.left_out.empty()) PrintSection("Left out", image.left_out);
}

void PrintCommit(const CommitInfo& commit) {
  Print(fmt::format("Committed: {} from task {}{}\nMade of: {} {}\n", commit.committed_at,
                    commit.task_id, commit.workspace ? ", with its workspace" : "",
                    Printable(commit.environment, 300), commit.environment_digest.substr(0, 12)));
  std::vector<std::string> commands;
  for (const CommitCommand& one : commit.commands) {
    commands.push_back(fmt::format("{} [{}] {}", one.sequence,
                                   one.outcome.empty() ? "running" : std::to_string(one.exit_code),
                                   one.command));
  }
  if (commit.more_commands > 0) commands.push_back(fmt::format("{} more", commit.more_commands));
  PrintSection("Commands that ran, with their exit codes", commands);
}

void PrintDetails(const Context&, const EnvironmentDetails& details, bool) {
  Print(fmt::format(
      "Environment: {}\nDescription: {}\nDigest: {}\nInstalled: {}\nSize: {}\nDirectory: {}\n"
      "Kernel: {} ({})\n",
      details.info.name, details.info.description, details.info.digest, details.info.installed_at,
      FormatBytes(details.info.size_bytes), details.directory, details.kernel_release,
      details.kernel_package));
  PrintSection("Files", details.files);
  PrintSection("Package sources", details.apt_sources);
  PrintSection("Built with", details.tools);
  std::vector<std::string> templates;
  for (const TemplateInfo& info : details.templates) {
    templates.push_back(fmt::format("{} vCPU, {} MiB{}{}: {}, made {}, last used {}",
                                    info.vcpu_count, info.mem_mib, info.network ? ", network" : "",
                                    info.new_disk ? ", new disk" : "", FormatBytes(info.size_bytes),
                                    info.made_at, info.last_used_at));
  }
  PrintSection("Templates for warm starts", templates);
  if (details.commit) PrintCommit(*details.commit);
  if (details.image) return PrintImage(*details.image);
  Print(fmt::format("Packages: {} (listed with --json)\n", details.packages.size()));
}

void PrintRemoved(const Context&, const RemovedEnvironment& removed, bool quiet) {
  if (quiet) return;
  Print(
      fmt::format("removed {}\n{} freed\n", removed.environment, FormatBytes(removed.bytes_freed)));
}

void PrintTagged(const Context&, const EnvironmentInfo& info, bool quiet) {
  if (!quiet) Print(fmt::format("{} {}\n", info.name, info.digest.substr(0, 12)));
}

void PrintPruned(const Context&, const PrunedEnvironments& pruned, bool) {
  for (const auto& item : pruned.removed) {
    const std::string words =
        fmt::format("{} {} {}", item.environment, item.what, item.digest.substr(0, 12));
    Print(fmt::format("removed {} ({})\n", TrimSpace(words), FormatBytes(item.bytes)));
  }
  for (const std::string& name : pruned.skipped) {
    Talk(fmt::format("pyro: another pyro pulls, tags or prunes {}, left alone\n", name));
  }
  Print(fmt::format("{} freed\n", FormatBytes(pruned.bytes_freed)));
}

void AddPull(CLI::App& env, Context& context) {
  const auto flags = std::make_shared<PullFlags>();
  CLI::App* pull = AddNamed(
      env, *api::FindOperation("env pull"),
      {.example = "pyro env pull debian:12",
       .note = "One of the catalog takes packages from the host's own Debian mirror, and one\n"
               "to two minutes; longer on a slow host or line. What is installed already takes\n"
               "no time.\n\nAn image is one of:\n"
               "  oci:REGISTRY/NAME[:TAG][@sha256:DIGEST]   as oci:localhost:5000/app:1\n"
               "  oci-archive:FILE[:TAG]                    of 'skopeo copy', 'podman save'\n"
               "  docker-archive:FILE[:NAME:TAG]            of 'docker save', also compressed\n"
               "  oci-layout:DIR[:TAG]                      a directory\n"
               "Its name is then what stands behind oci:, or what the archive calls it. It is\n"
               "pulled again if its source has another one by now; tasks keep the one that they\n"
               "have."});
  pull->description("Install environments or images, or repair them");
  AddJson(pull, context);
  pull->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  AddFields(pull, flags->request, {"environment"});
  pull->add_option("environment", flags->names, "One or more, such as debian:12, or images")
      ->required()
      ->type_name("ENVIRONMENT");
  OnChosen(pull, context,
           [&context, flags](Engine& engine) { return Pull(engine, context, *flags); });
}

}  // namespace

void AddEnv(CLI::App& app, Context& context) {
  CLI::App* env = app.add_subcommand("env", "The environments: what a guest's disk holds");
  env->require_subcommand(1);
  env->footer("Example:\n  pyro env list\n\n'pyro env COMMAND --help' tells more.");
  AddRowCommand(*env, context,
                {.operation = "env list",
                 .texts = {.quiet = "Print names only", .example = "pyro env list --json"}},
                PrintEnvironments)
      ->alias("ls");
  AddPull(*env, context);
  AddRowCommand(
      *env, context,
      {.operation = "env inspect", .texts = {.example = "pyro env inspect --verify debian:12"}},
      PrintDetails);
  AddRowCommand(*env, context,
                {.operation = "env tag",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro env tag registry.example/team/app:1 app"}},
                PrintTagged);
  AddEnvCommit(*env, context);
  AddRowCommand(*env, context,
                {.operation = "env remove",
                 .texts = {.quiet = "Print nothing",
                           .example = "pyro env remove registry.example/team/app:1"}},
                PrintRemoved)
      ->alias("rm");
  AddRowCommand(*env, context, {.operation = "env prune", .texts = {.example = "pyro env prune"}},
                PrintPruned);
}

}  // namespace pyro::cli
