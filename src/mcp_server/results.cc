#include "mcp_server/results.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "mcp_server/host.h"
#include "pyro/json_forms.h"

namespace pyro::mcp_server {
namespace {

constexpr std::size_t kCommandBudget = 2000;
constexpr std::string_view kNotKept =
    "they are not kept: run it in a task to keep all output, or write it to a file and read parts";

Ends EndsOf(const std::string& text, bool truncated, std::uint64_t bytes) {
  if (!truncated) return {text, "", text.size()};
  return {text.substr(0, kEndBytes), text.substr(text.size() - std::min(text.size(), kEndBytes)),
          bytes};
}

std::string RestOf(const std::string& task_id, std::int64_t sequence, std::string_view stream) {
  return fmt::format(
      "read them with task_logs(task_id=\"{}\", sequence={}, stream=\"{}\", offset={{offset}})",
      task_id, sequence, stream);
}

void AddStream(std::string& text, std::string_view name, const Json& form) {
  const std::string output = form.value(std::string(name), "");
  if (output.empty()) return;
  text += fmt::format("--- {} ({} bytes)\n{}", name,
                      form.value(std::string(name) + "_bytes", std::uint64_t{0}), output);
  if (output.back() != '\n') text += '\n';
}

// The compact form for models: a line of facts, then the output as it is.
std::string Render(const Json& form, const Notices& notices) {
  std::string text =
      fmt::format("exit_code={} outcome={} duration_ms={} execution_mode={}",
                  form.value("exit_code", 0), form.value("outcome", ""),
                  form.value("duration_ms", std::int64_t{0}), form.value("execution_mode", ""));
  if (form.contains("sequence")) {
    text += fmt::format(" task_id={} sequence={}", form.value("task_id", ""),
                        form.value("sequence", std::int64_t{0}));
  }
  text += '\n';
  for (const std::string& notice : notices) text += fmt::format("note: {}\n", notice);
  AddStream(text, "stdout", form);
  AddStream(text, "stderr", form);
  return text;
}

Json LinkTo(const std::string& uri, std::string_view name, std::string_view title,
            std::optional<std::uint64_t> size, std::string_view type) {
  mcp::ResourceLink link;
  link.uri = uri;
  link.name = name;
  link.title = title;
  link.mime_type = type;
  link.size = size;
  return mcp::ResourceLinkContent(link);
}

void SetStream(Json& form, const std::string& name, const Ends& ends, std::size_t share,
               std::string_view rest) {
  const Excerpt excerpt = Cut(ends, share, rest);
  form[name] = excerpt.text;
  form[name + "_truncated"] = excerpt.truncated;
}

}  // namespace

mcp::ToolResult ValueResult(Json form) {
  return mcp::ToolResult::Structured(WithoutNulls(std::move(form)));
}

Command ReadCommand(const Json& command) {
  Command read;
  if (command.is_string()) {
    read.script = command.get<std::string>();
  } else {
    read.argv = command.get<std::vector<std::string>>();
  }
  return read;
}

Properties CommandResultProperties() {
  return {
      {"stdout",
       TextSchema("What the command wrote to stdout: all of it, or its beginning and end.")},
      {"stderr", TextSchema("Likewise of stderr.")},
      {"stdout_bytes", CountSchema("Bytes written to stdout in all.")},
      {"stderr_bytes", CountSchema("Bytes written to stderr in all.")},
      {"stdout_truncated", FlagSchema("The middle of stdout is left out.")},
      {"stderr_truncated", FlagSchema("The middle of stderr is left out.")},
      {"exit_code",
       IntegerSchema("As a shell reports it: 124 timed out, 126 not executable, 127 not "
                     "found, 128+n killed by signal n, 130 cancelled.",
                     0, 255)},
      {"outcome",
       ChoiceSchema("How the command ended.", {"exited", "signalled", "timed_out", "cancelled",
                                               "not_started", "interrupted"})},
      {"duration_ms", CountSchema("Of the command itself, measured where it ran.")},
      {"execution_mode", TextSchema("How it truly ran: guest_virtio_serial in a virtual machine, "
                                    "host_compat on the host without one.")},
      {"environment", TextSchema("The environment that it ran in.")},
      {"notices", ListSchema("Things to know about this run.", {{"type", "string"}})},
  };
}

mcp::ToolResult RunResult(const ExecResult& result, const EndsSink& output,
                          const Notices& notices) {
  Json form = ToJson(result);
  form.erase("timings");
  const Ends out = output.Take(OutputStream::kStdout);
  const Ends err = output.Take(OutputStream::kStderr);
  const Shares shares = ShareBudget(out, err);
  SetStream(form, "stdout", out, shares.out, kNotKept);
  SetStream(form, "stderr", err, shares.err, kNotKept);
  if (!notices.empty()) form["notices"] = notices;
  mcp::ToolResult told = ValueResult(std::move(form));
  told.content.push_back(mcp::TextContent(Render(*told.structured, notices)));
  return told;
}

Json RunResultSchema() {
  Properties properties = CommandResultProperties();
  properties.emplace_back("kernel", TextSchema("uname -r of where it ran."));
  properties.emplace_back("accelerator", TextSchema("What ran the guest's CPU: kvm or tcg."));
  return OutputSchema(properties, {"stdout", "stderr", "exit_code", "outcome", "duration_ms",
                                   "execution_mode", "environment"});
}

Json EntryForm(const std::string& task_id, const TaskLogEntry& entry, std::size_t budget) {
  Json form = WithoutNulls(ToJson(static_cast<const TaskCommand&>(entry)));
  const std::size_t for_command = std::min(kCommandBudget, budget / 4);
  form["command"] = CutWords(entry.command, for_command);
  const Ends out = EndsOf(entry.stdout_text, entry.stdout_truncated, entry.stdout_bytes);
  const Ends err = EndsOf(entry.stderr_text, entry.stderr_truncated, entry.stderr_bytes);
  const Shares shares = ShareBudget(out, err, budget - for_command);
  SetStream(form, "stdout", out, shares.out, RestOf(task_id, entry.sequence, "stdout"));
  SetStream(form, "stderr", err, shares.err, RestOf(task_id, entry.sequence, "stderr"));
  for (const char* name : {"stdout_dropped", "stderr_dropped"}) {
    if (form[name] == 0) form.erase(name);
  }
  form["uri"] = CommandUri(task_id, entry.sequence);
  return form;
}

Properties EntryProperties() {
  Properties properties = CommandResultProperties();
  std::erase_if(properties, [](const auto& one) {
    return one.first == "environment" || one.first == "notices";
  });
  properties.emplace_back("sequence", IntegerSchema("The command's number in its task, from 1.", 1,
                                                    std::int64_t{1} << 53));
  properties.emplace_back("command",
                          ListSchema("Its words; long ones are cut.", {{"type", "string"}}));
  properties.emplace_back("cwd", TextSchema("The directory that it ran in."));
  properties.emplace_back("state", ChoiceSchema("Whether it still runs.", {"running", "ended"}));
  properties.emplace_back("started_at", TextSchema("RFC 3339, UTC."));
  properties.emplace_back("ended_at", TextSchema("RFC 3339, UTC; absent while it runs."));
  properties.emplace_back("timeout_seconds", CountSchema("When it is or was to be killed."));
  properties.emplace_back("stdout_dropped",
                          CountSchema("Bytes beyond the task's bound on output."));
  properties.emplace_back("stderr_dropped", CountSchema("Likewise of stderr."));
  properties.emplace_back("uri", TextSchema("The resource of this entry."));
  return properties;
}

Result<mcp::ToolResult> TaskCommandResult(Engine& engine, const std::string& task_id,
                                          std::int64_t sequence, bool restarted,
                                          const Notices& notices) {
  PYRO_ASSIGN_OR_RETURN(const TaskInfo task, engine.StatusTask(task_id));
  PYRO_ASSIGN_OR_RETURN(const TaskLogs logs, engine.LogsTask(task.task_id, sequence, 1));
  if (logs.entries.empty() || logs.entries[0].sequence != sequence) {
    return MakeError(ErrorCode::kNotFound, "the command is not in the journal any more");
  }
  const TaskLogEntry& entry = logs.entries[0];
  if (entry.outcome == "interrupted") {
    return MakeError(
        ErrorCode::kGuestUnavailable,
        fmt::format(
            "the task's guest went away while command {} ran; it is recorded as interrupted",
            sequence),
        fmt::format("task_logs(task_id=\"{}\", sequence={}) shows its output so far; the workspace "
                    "is kept and the next task_exec starts the guest again",
                    task.task_id, sequence));
  }
  Json form = EntryForm(task.task_id, entry, kResultBudget + kCommandBudget);
  form["task_id"] = task.task_id;
  form["environment"] = task.environment;
  form["restarted"] = restarted;
  if (!notices.empty()) form["notices"] = notices;
  mcp::ToolResult told = ValueResult(std::move(form));
  told.content.push_back(mcp::TextContent(Render(*told.structured, notices)));
  for (const auto& [name, truncated, bytes] :
       {std::tuple{"stdout", entry.stdout_truncated, entry.stdout_bytes},
        std::tuple{"stderr", entry.stderr_truncated, entry.stderr_bytes}}) {
    if (!told.structured->value(std::string(name) + "_truncated", false)) continue;
    told.content.push_back(LinkTo(StreamUri(task.task_id, sequence, name), name,
                                  fmt::format("{} of command {}", name, sequence), bytes,
                                  "text/plain"));
  }
  told.content.push_back(LinkTo(CommandUri(task.task_id, sequence),
                                fmt::format("command {}", sequence), "Journal entry", std::nullopt,
                                "application/json"));
  return told;
}

mcp::ToolResult RunningResult(const StartedTaskCommand& started, const Notices& notices) {
  Json form = {{"task_id", started.task_id},
               {"sequence", started.sequence},
               {"command", CutWords(started.command, kCommandBudget)},
               {"cwd", started.cwd},
               {"state", started.state},
               {"started_at", started.started_at},
               {"timeout_seconds", started.timeout_seconds},
               {"execution_mode", started.execution_mode},
               {"environment", started.environment},
               {"restarted", started.restarted},
               {"uri", CommandUri(started.task_id, started.sequence)}};
  if (!notices.empty()) form["notices"] = notices;
  std::string text = fmt::format(
      "Command {} of {} runs in the background. Read its output and wait for its end with "
      "task_logs(task_id=\"{}\", sequence={}, wait_seconds=30); stop it with task_stop(task_id, "
      "sequence={}). It is killed {} s after its start.\n",
      started.sequence, started.task_id, started.task_id, started.sequence, started.sequence,
      started.timeout_seconds);
  for (const std::string& notice : notices) text += fmt::format("note: {}\n", notice);
  mcp::ToolResult told = ValueResult(std::move(form));
  told.content.push_back(mcp::TextContent(text));
  told.content.push_back(LinkTo(CommandUri(started.task_id, started.sequence),
                                fmt::format("command {}", started.sequence), "Journal entry",
                                std::nullopt, "application/json"));
  return told;
}

Json TaskExecSchema() {
  Properties properties = EntryProperties();
  properties.emplace_back("task_id", TextSchema("The task."));
  properties.emplace_back("environment", TextSchema("The environment that it ran in."));
  properties.emplace_back("notices",
                          ListSchema("Things to know about this run.", {{"type", "string"}}));
  properties.emplace_back("restarted",
                          FlagSchema("The task was stopped and was started for this."));
  return OutputSchema(properties, {"task_id", "sequence", "command", "cwd", "state",
                                   "execution_mode", "environment"});
}

}  // namespace pyro::mcp_server
