// pyro task export

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/call.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/task.h"
#include "pyro/json_forms.h"

namespace pyro::cli {
namespace {

struct ExportFlags {
  std::string task_id;
  std::string path;
  std::string destination;
  bool quiet = false;
};

int Export(Engine& engine, const Context& context, const ExportFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.task_id);
  const auto exported = call.Run([&](const CallIo& io) {
    return engine.ExportTask(flags.task_id, flags.path, flags.destination, io);
  });
  if (!exported) return Fail(exported.error(), context);
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
                   "On this host; a name ending in .tar makes a tar")
      ->required()
      ->type_name("DEST");
  exported->add_flag("-q,--quiet", flags->quiet, "Neither progress nor a closing line");
  exported->footer(
      "The destination must not be there yet, or be an empty directory.\n\n"
      "Example:\n  pyro task export $id . results");
}

}  // namespace pyro::cli
