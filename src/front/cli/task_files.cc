// pyro task files

#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"

namespace pyro::cli {
namespace {

int Read(Engine& engine, const Context& context, const CallFlags<ReadTaskFileRequest>& flags) {
  if (context.json) {
    return Fail(MakeError(ErrorCode::kInvalidArgument, "--json and the file both want stdout",
                          "leave --json out, or use 'pyro task files stat --json'"),
                context);
  }
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  call.PassOutput();
  const auto read =
      call.Run([&](const CallIo& io) { return engine.ReadTaskFile(flags.request, io); });
  return read ? kExitOk : Fail(read.error(), context);
}

void PrintChanged(const Context&, const TaskFileInfo& file, bool quiet) {
  if (quiet) return;
  const bool counts = file.kind == FileKind::kFile;
  Print(fmt::format("{}{}\n", Printable(file.path),
                    counts ? fmt::format(" ({})", FormatBytes(file.bytes)) : ""));
}

int Write(Engine& engine, const Context& context, const CallFlags<WriteTaskFileRequest>& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.task_id);
  call.PassStdin();
  const auto written =
      call.Run([&](const CallIo& io) { return engine.WriteTaskFile(flags.request, io); });
  if (!written) return Fail(written.error(), context);
  if (context.json) {
    PrintJson(ToJson(*written));
  } else {
    PrintChanged(context, *written, flags.quiet);
  }
  return kExitOk;
}

// Lines of JSON as lines for people.
class ChangeLines : public OutputSink {
 public:
  explicit ChangeLines(OutputSink& next) : next_(next) {}

  int WritableFd(OutputStream stream) override { return next_.WritableFd(stream); }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    rest_ += bytes;
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1)) {
      PYRO_ASSIGN_OR_RETURN(const Json news, ParseJson(rest_.substr(0, end)));
      const std::string path = news.value("path", "");
      Print(fmt::format("{} {}{}\n", news.value("change", ""), path.empty() ? "." : Printable(path),
                        news.value("directory", false) ? "/" : ""));
    }
    return bytes.size();
  }

 private:
  OutputSink& next_;
  std::string rest_;
};

int Watch(Engine& engine, const Context& context, const CallFlags<WatchTaskFilesRequest>& flags) {
  Call call(StyleOf(context, true), flags.request.task_id);
  call.PassOutput();
  ChangeLines lines(*call.io().sink);
  const auto watched = call.Run([&](CallIo io) {
    if (!context.json) io.sink = &lines;
    return engine.WatchTaskFiles(flags.request, io);
  });
  return watched ? kExitOk : Fail(watched.error(), context);
}

}  // namespace

void AddTaskFiles(CLI::App& task, Context& context) {
  CLI::App* files = task.add_subcommand("files", "Work on files of a task, started or stopped");
  files->require_subcommand(1);
  files->footer(
      "Example:\n  pyro task files list $id .\n\n'pyro task files COMMAND --help' tells more.");
  for (const api::Operation& operation : api::TaskFileOperations()) {
    if (operation.example == nullptr) continue;
    const bool lists = operation.name == std::string_view("task files list");
    const RowCommand form = {.operation = operation.name,
                             .texts = {.quiet = lists ? "Print names only" : "Print nothing",
                                       .example = operation.example},
                             .waits = true};
    const bool changes = operation.effect == api::Effect::kChanges;
    changes ? AddRowCommand(*files, context, form, PrintChanged)
            : AddRowCommand(*files, context, form);
  }
  AddOperation(*files, context, "task files read",
               {.quiet = "Print no progress", .example = "pyro task files read $id notes.txt"},
               std::make_shared<CallFlags<ReadTaskFileRequest>>(), Read);
  AddOperation(*files, context, "task files write",
               {.quiet = "Print no progress and no closing line",
                .example = "echo hello | pyro task files write $id greetings/hello.txt",
                .note = "Directories that are missing are made. Programs in the task see the old\n"
                        "content or the new, never a part."},
               std::make_shared<CallFlags<WriteTaskFileRequest>>(), Write);
  AddOperation(*files, context, "task files watch",
               {.example = "pyro task files watch $id src --depth 5",
                .note = "Ends at Ctrl-C, or when the path itself is gone. 'lost' means that more\n"
                        "happened than was told: look at everything again."},
               std::make_shared<CallFlags<WatchTaskFilesRequest>>(), Watch);
}

}  // namespace pyro::cli
