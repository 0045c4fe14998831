// pyro task export

#include <unistd.h>

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

struct ExportFlags {
  ExportTaskRequest request;
  bool quiet = false;
};

constexpr const char* kStdout = "-";

int Export(Engine& engine, const Context& context, const ExportFlags& flags) {
  const ExportTaskRequest& request = flags.request;
  ExportOptions options = {.force = request.force};
  if (request.destination == kStdout) {
    if (context.json) {
      return Fail(MakeError(ErrorCode::kInvalidArgument, "--json and '-' both want stdout",
                            "leave one of them out"),
                  context);
    }
    options.out_fd = STDOUT_FILENO;
  }
  Call call(StyleOf(context, flags.quiet), request.task_id);
  const auto exported = call.Run([&](const CallIo& io) {
    return engine.ExportTask(request.task_id, request.path, request.destination, options, io);
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
  AddFields(exported, flags->request);
  exported->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  exported->footer(
      "A directory becomes a new one or fills an empty one. A file goes into a\n"
      "directory that exists. Stdout gets a file as it is, and a directory as a tar.\n\n"
      "Example:\n  pyro task export $id . results\n  pyro task export $id . - | tar -tf -");
}

}  // namespace pyro::cli
