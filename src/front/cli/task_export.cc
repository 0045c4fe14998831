// pyro task export

#include <unistd.h>

#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

constexpr const char* kStdout = "-";

int Export(Engine& engine, const Context& context, const CallFlags<ExportTaskRequest>& flags) {
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
  AddOperation(
      task, context, "task export",
      {.quiet = "Print no progress and no closing line",
       .example = "pyro task export $id . results\n  pyro task export $id . - | tar -tf -",
       .note = "A directory becomes a new one or fills an empty one. A file goes into a\n"
               "directory that exists. Stdout gets a file as it is, and a directory as a tar."},
      std::make_shared<CallFlags<ExportTaskRequest>>(), Export);
}

}  // namespace pyro::cli
