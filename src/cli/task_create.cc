// pyro task create

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"

namespace pyro::cli {
namespace {

struct CreateFlags {
  TaskOptions options;
  bool quiet = false;
};

int Create(Engine& engine, const Context& context, const CreateFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.options.environment);
  const auto task =
      call.Run([&](const CallIo& io) { return engine.CreateTask(flags.options, io); });
  if (task && flags.quiet && !context.json) {
    Print(task->task_id + "\n");
    return kExitOk;
  }
  return ShowTask(task, context);
}

}  // namespace

void AddTaskCreate(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<CreateFlags>();
  CLI::App* create =
      AddCommand(task, context, "create",
                 "Start a task: a microVM whose /workspace and journal stay", flags, Create);
  AddJson(create, context);
  TaskOptions& options = flags->options;
  create->add_option("environment", options.environment, "Such as debian:12")
      ->required()
      ->type_name("ENVIRONMENT");
  create->add_option("--vcpu-count", options.vcpu_count, "CPUs of the guest, 1 to 64")
      ->capture_default_str();
  create->add_option("--mem-mib", options.mem_mib, "Memory of the guest in MiB, from 128")
      ->capture_default_str();
  create->add_option("--disk-mib", options.disk_mib, "Bound of the task's disk in MiB, from 256")
      ->capture_default_str();
  create
      ->add_option("--ttl-seconds", options.ttl_seconds,
                   "Stop the guest so long after its last use; the task stays")
      ->capture_default_str();
  create
      ->add_option("--source-path", options.source_path,
                   "Fill /workspace from a directory or a tar archive")
      ->type_name("PATH");
  create
      ->add_option("--exclude", options.exclude,
                   "Leave out what matches, such as '*.o' or /build; repeatable")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  create->add_flag("--git", options.git, "Take what git sees: no ignored files, but .git");
  create->add_flag("--network", options.network, "Let the guest reach the outside");
  create->add_flag("--allow-host-compat", options.allow_host_compat,
                   "If no guest can be had, run on this host in a bubblewrap jail");
  create->add_flag("-q,--quiet", flags->quiet, "Print the id only");
  create->footer(
      "An archive is .tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst. A PATTERN without a\n"
      "slash matches a name at any depth, one with a slash a path from the top.\n"
      "'*' matches no slash, '**' does.\n\n"
      "Example:\n  id=$(pyro task create -q --source-path . --git debian:12)\n"
      "  pyro task exec $id -- git status");
}

}  // namespace pyro::cli
