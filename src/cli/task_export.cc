// pyro task export

#include <unistd.h>

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"

namespace pyro::cli {
namespace {

struct ExportFlags {
  std::string task_id;
  std::string path;
  std::string destination;
  ExportOptions options;
  bool quiet = false;
};

constexpr const char* kStdout = "-";

int Export(Engine& engine, const Context& context, const ExportFlags& flags) {
  ExportOptions options = flags.options;
  if (flags.destination == kStdout) {
    if (context.json) {
      return Fail(MakeError(ErrorCode::kInvalidArgument, "--json and '-' both want stdout",
                            "leave one of them out"),
                  context);
    }
    options.out_fd = STDOUT_FILENO;
  }
  Call call(StyleOf(context, flags.quiet), flags.task_id);
  const auto exported = call.Run([&](const CallIo& io) {
    return engine.ExportTask(flags.task_id, flags.path, flags.destination, options, io);
  });
  if (!exported) return Fail(exported.error(), context);
  if (options.out_fd >= 0) return kExitOk;
  if (context.json) {
    PrintJson(ToJson(*exported));
  } else if (!flags.quiet) {
    Print(fmt::format("{} ({})\n", exported->destination, FormatBytes(exported->bytes)));
  }
  return kExitOk;
}

}  // namespace

void AddTaskExport(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<ExportFlags>();
  CLI::App* exported = AddCommand(task, context, "export",
                                  "Copy a path of the workspace to this host", flags, Export);
  AddJson(exported, context);
  AddTaskId(exported, flags->task_id);
  exported->add_option("path", flags->path, "In the guest; relative ones from /workspace")
      ->required()
      ->type_name("PATH");
  exported
      ->add_option("destination", flags->destination,
                   "On this host; a name such as x.tar.gz makes an archive, - is stdout")
      ->required()
      ->type_name("DEST");
  exported->add_flag("--force", flags->options.force, "Replace a regular file that is there");
  exported->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  exported->footer(
      "A directory becomes a new one or fills an empty one. A file goes into a\n"
      "directory that exists. Stdout gets a file as it is, and a directory as a tar.\n\n"
      "Example:\n  pyro task export $id . results\n  pyro task export $id . - | tar -tf -");
}

}  // namespace pyro::cli
