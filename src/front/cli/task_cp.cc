// pyro task cp

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

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

struct CpFlags {
  std::string source;
  std::string destination;
  bool quiet = false;
};

// TASK:PATH, as docker reads CONTAINER:PATH: what begins with a dot or has a slash before the colon
// is a path of the host.
struct TaskPath {
  std::string task_id;
  std::string path;
};
std::optional<TaskPath> TaskPathIn(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos || colon == 0 || word[0] == '.') return std::nullopt;
  if (word.find('/') < colon) return std::nullopt;
  const std::string path = word.substr(colon + 1);
  return TaskPath{word.substr(0, colon), path.empty() ? "." : path};
}

Result<CopiedPath> CopyBySides(Engine& engine, const CpFlags& flags, Call& call) {
  const auto from = TaskPathIn(flags.source);
  const auto to = TaskPathIn(flags.destination);
  if (from && to) {
    return MakeError(ErrorCode::kInvalidArgument, "both paths are in a task",
                     "'pyro task files copy' copies within one; between two, copy to this host");
  }
  if (from) {
    CopyFromTaskRequest request;
    request.task_id = from->task_id;
    request.path = from->path;
    request.destination = flags.destination;
    const int out_fd = flags.destination == "-" ? STDOUT_FILENO : -1;
    if (out_fd >= 0 && ::isatty(out_fd) == 1) {
      return MakeError(ErrorCode::kInvalidArgument, "a tar is not written to a terminal",
                       "redirect stdout to a file or a pipe");
    }
    return call.Run([&](const CallIo& io) { return engine.CopyFromTask(request, out_fd, io); });
  }
  if (!to) {
    return MakeError(ErrorCode::kInvalidArgument, "neither path is in a task",
                     "write one of them as TASK_ID:PATH");
  }
  CopyIntoTaskRequest request;
  request.task_id = to->task_id;
  request.path = to->path;
  request.source_path = flags.source;
  if (flags.source == "-") call.PassStdin();
  return call.Run([&](const CallIo& io) { return engine.CopyIntoTask(request, io); });
}

int Copy(Engine& engine, const Context& context, const CpFlags& flags) {
  const bool to_stdout = flags.destination == "-";
  if (to_stdout && context.json) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--json and '-' both want stdout",
                          "leave one of them out"),
                context);
  }
  Call call(StyleOf(context, flags.quiet), "cp");
  const auto copied = CopyBySides(engine, flags, call);
  if (!copied) return Fail(copied.error(), context);
  if (context.json) {
    PrintJson(ToJson(*copied));
  } else if (!flags.quiet && !to_stdout) {
    const bool out = TaskPathIn(flags.source).has_value();
    Print(fmt::format("{} ({})\n", Printable(out ? copied->host_path : copied->path),
                      FormatBytes(copied->bytes)));
  }
  return kExitOk;
}

}  // namespace

void AddTaskCp(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<CpFlags>();
  CLI::App* cp = task.add_subcommand("cp", "Copy files between this host and a task");
  cp->footer(
      "A file goes into a directory that is there, or becomes DEST. A directory\n"
      "becomes DEST, or goes into the directory that is there; with /. at the end\n"
      "of SOURCE its content does. - is a tar on stdin or stdout.\n\n"
      "Example:\n  pyro task cp src/. $id:project\n  pyro task cp $id:project/out ./out");
  AddJson(cp, context);
  cp->add_option("source", flags->source, "A path of this host, TASK_ID:PATH, or -")
      ->type_name("SOURCE")
      ->required();
  cp->add_option("destination", flags->destination, "A path of this host, TASK_ID:PATH, or -")
      ->type_name("DEST")
      ->required();
  cp->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  OnChosen(cp, context,
           [&context, flags](Engine& engine) { return Copy(engine, context, *flags); });
}

}  // namespace pyro::cli
