// pyro task wait

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/task.h"
#include "front/cli/usage.h"

namespace pyro::cli {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct WaitFlags {
  std::vector<std::string> ids;
  WaitTaskRequest request;  // Without an id.
  bool quiet = false;
};

void PrintWait(const TaskWait& wait, bool heading) {
  if (heading) Print(fmt::format("Task: {}\n", wait.task_id));
  for (const TaskCommand& command : wait.commands) Print(EndLine(command));
  if (wait.commands.empty()) Talk("pyro: no command of the task runs\n");
}

// The exit code of one task, and on stderr what it means.
int CodeOf(const TaskWait& wait, const WaitFlags& flags, const Context& context) {
  if (!wait.complete) {
    if (!context.json) {
      Talk(
          fmt::format("pyro: the time is over, and a command still runs\nhint: wait again, or end "
                      "it with 'pyro task stop --sequence N {}'\n",
                      ShortId(wait.task_id)));
    }
    return kExitTimedOut;
  }
  if (!flags.request.sequence) return kExitOk;
  const TaskCommand& command = wait.commands.front();
  if (command.outcome != Outcome::kInterrupted) return command.exit_code;
  if (!context.json) {
    Talk(
        fmt::format("pyro: the command was interrupted: its guest went away before it ended\n"
                    "hint: 'pyro task logs --sequence {} {}' shows its output until then\n",
                    command.sequence, ShortId(wait.task_id)));
  }
  return kExitPyroFailed;
}

// One after the other, all within the same time. If one cannot be waited for, the others still are.
int Wait(Engine& engine, const Context& context, const WaitFlags& flags) {
  Call call(Progress::Style::kQuiet, flags.ids.front());
  const std::int64_t seconds = flags.request.timeout_seconds;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  const bool single = flags.ids.size() == 1;
  int code = kExitOk;
  Json list = Json::array();
  for (const std::string& id : flags.ids) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    const auto limit = seconds == 0 ? milliseconds(0) : std::max(left, milliseconds(1));
    const auto wait = call.Run(
        [&](const CallIo& io) { return engine.WaitTask(id, flags.request.sequence, limit, io); });
    if (!wait && (single || wait.error().code == ErrorCode::kCancelled)) {
      return Fail(wait.error(), context);
    }
    if (!wait) {
      ReportError(wait.error(), false);
      Json entry = ToJson(wait.error());
      entry["task_id"] = id;
      list.push_back(std::move(entry));
      code = kExitPyroFailed;
      continue;
    }
    list.push_back(ToJson(*wait));
    if (!context.json && !flags.quiet) PrintWait(*wait, !single);
    code = std::max(code, CodeOf(*wait, flags, context));
  }
  if (context.json) PrintJson(single ? list[0] : Json{{"count", list.size()}, {"tasks", list}});
  return code;
}

}  // namespace

void AddTaskWait(CLI::App& task, Context& context) {
  const auto flags = std::make_shared<WaitFlags>();
  CLI::App* wait = AddNamed(
      task, *api::FindOperation("task wait"),
      {.example = "pyro task wait --sequence 3 $id\n  pyro task wait $id web",
       .note = "Exits with the code of command N, or with 0 when no command runs in any of the\n"
               "tasks; with 124 if the time was over, and 125 if a command was interrupted or\n"
               "its task was deleted. Processes that a command left behind do not count."});
  AddJson(wait, context);
  wait->add_option("task_id", flags->ids,
                   "The tasks' ids, or their first 6 characters, or their names")
      ->type_name("TASK_ID")
      ->required();
  AddFields(wait, flags->request, {"task_id"});
  wait->add_flag("-q,--quiet", flags->quiet, "Print nothing; the exit code tells");
  wait->callback([&context, flags] {
    if (flags->request.sequence && flags->ids.size() > 1) {
      throw UsageError("--sequence is a command of one task", "give one TASK_ID");
    }
    context.failure_code = kExitPyroFailed;
    context.action = [&context, flags](Engine& engine) { return Wait(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
