#include "front/mcp/results.h"

#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/host.h"

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
  text += fmt::format("--- {}\n{}", name, output);
  if (output.back() != '\n') text += '\n';
}

std::string Facts(const Json& form) {
  const auto duration = form.value("duration_ms", std::int64_t{0});
  const std::string outcome = form.value("outcome", "");
  std::string text;
  if (form.value("state", "") == "running") {
    text = fmt::format("running, {} s so far", duration / 1000);
  } else {
    text = fmt::format("exit_code={}", form.value("exit_code", 0));
    if (outcome != "exited") text += " outcome=" + outcome;
    text += fmt::format(" duration_ms={}", duration);
  }
  for (const char* name : {"sequence", "execution_mode"}) {
    const auto value = form.find(name);
    if (value == form.end()) continue;
    text +=
        fmt::format(" {}={}", name, value->is_string() ? value->get<std::string>() : value->dump());
  }
  return text;
}

// A model reads it as the reason why its command failed.
std::string DeniedText(const Json& denied) {
  std::string text = "denied: " + WithPort(denied.value("host", ""), denied.value("port", 0));
  text += ": " + denied.value("why", "");
  if (denied.contains("rule")) text += fmt::format("; allow \"{}\"", denied.value("rule", ""));
  return text + "\n";
}

std::string WordsOf(const Json& command) {
  auto words = command.get<std::vector<std::string>>();
  const bool by_shell = words.size() == 3 && words[1] == "-c" && words[0].ends_with("sh");
  return Printable(by_shell ? words[2] : ShellJoin(words), kCommandBudget);
}

void SetStream(Json& form, const std::string& name, const Ends& ends, std::size_t share,
               std::string_view rest) {
  const Excerpt excerpt = Cut(ends, share, rest);
  form[name] = excerpt.text;
  form[name + "_truncated"] = excerpt.truncated;
  if (!excerpt.truncated) form.erase(name + "_bytes");
}

}  // namespace

Json ForModels(Json value) {
  if (value.is_object()) {
    for (auto member = value.begin(); member != value.end();) {
      if (member->is_null()) {
        member = value.erase(member);
      } else {
        const bool secrets = member.key() == kSecrets && member->is_array();
        *member = secrets ? NamesOfSecrets(*member) : ForModels(std::move(*member));
        ++member;
      }
    }
  } else if (value.is_array()) {
    for (Json& item : value) item = ForModels(std::move(item));
  }
  return value;
}

mcp::ToolResult ValueResult(Json form) {
  form = ForModels(std::move(form));
  DropUsual(form);
  return mcp::ToolResult::Structured(std::move(form));
}

void DropUsual(Json& form) {
  const auto drop = [&form](std::initializer_list<const char*> names, const auto& usual) {
    for (const char* name : names) {
      const auto found = form.find(name);
      if (found != form.end() && usual(*found)) form.erase(found);
    }
  };
  const auto is = [](Json value) { return [value](const Json& found) { return found == value; }; };
  drop({"cwd", "workspace_path"}, is("/workspace"));
  drop({"execution_mode"}, is("guest_virtio_serial"));
  drop({"stdout_truncated", "stderr_truncated", "output_left_open", "restarted",
        "allow_host_compat", "broken", "outdated"},
       is(false));
  drop({"labels"}, is(Json::object()));
  drop({"denied", "network_rules"}, is(Json::array()));
  drop({"defaults"}, is({{"env", Json::array()}}));
  drop({"stdout_dropped", "stderr_dropped", "timeout_seconds"}, is(0));
  drop({"accelerator", "kernel", "timings", "last_used_at"}, [](const Json&) { return true; });
  if (form.value("state", "") == "ended") {
    // It began at started_at and ran for duration_ms; a limit that ended it is explained.
    drop({"timeout_seconds", "ended_at"}, [](const Json&) { return true; });
  }
  if (const auto last = form.find("last_command"); last != form.end() && last->is_object()) {
    DropUsual(*last);
  }
}

std::string TellNotices(Json& form, const Notices& notices) {
  if (!notices.empty()) form["notices"] = notices;
  std::string text;
  for (const std::string& notice : notices) text += fmt::format("note: {}\n", notice);
  return text;
}

std::string EntryText(const Json& entry, WithCommand with_command, const Notices& notices) {
  std::string text = Facts(entry);
  if (with_command == WithCommand::kYes && entry.contains("command")) {
    text += entry["command"].empty() ? " (its words and output are not kept)"
                                     : " $ " + WordsOf(entry["command"]);
  }
  text += '\n';
  for (const std::string& notice : notices) text += fmt::format("note: {}\n", notice);
  if (const auto why = entry.find("explanation"); why != entry.end()) {
    text += fmt::format("note: {}\n", why->value("message", ""));
    if (why->contains("hint")) text += fmt::format("hint: {}\n", why->value("hint", ""));
  }
  AddStream(text, "stdout", entry);
  AddStream(text, "stderr", entry);
  if (const auto denied = entry.find("denied"); denied != entry.end()) {
    for (const Json& one : *denied) text += DeniedText(one);
  }
  return text;
}

mcp::ToolResult EntryResult(Json form, WithCommand with_command, const Notices& notices,
                            std::string_view more) {
  if (!notices.empty()) form["notices"] = notices;
  mcp::ToolResult result = ValueResult(std::move(form));
  std::string text = EntryText(*result.structured, with_command, notices);
  result.content.push_back(mcp::TextContent(text.append(more)));
  return result;
}

mcp::ToolResult RunResult(const ExecResult& result, const EndsSink& output,
                          const Notices& notices) {
  Json form = ToJson(result);
  const Ends out = output.Take(OutputStream::kStdout);
  const Ends err = output.Take(OutputStream::kStderr);
  const Shares shares = ShareBudget(out, err);
  SetStream(form, "stdout", out, shares.out, kNotKept);
  SetStream(form, "stderr", err, shares.err, kNotKept);
  return EntryResult(std::move(form), WithCommand::kNo, notices);
}

Json EntryForm(const std::string& task_id, const TaskLogEntry& entry, std::size_t budget) {
  Json form = ForModels(ToJson(static_cast<const TaskCommand&>(entry)));
  const std::size_t for_command = std::min(kCommandBudget, budget / 4);
  form["command"] = CutWords(entry.command, for_command);
  const Ends out = EndsOf(entry.stdout_text, entry.stdout_truncated, entry.stdout_bytes);
  const Ends err = EndsOf(entry.stderr_text, entry.stderr_truncated, entry.stderr_bytes);
  const Shares shares = ShareBudget(out, err, budget - for_command);
  SetStream(form, "stdout", out, shares.out, RestOf(task_id, entry.sequence, "stdout"));
  SetStream(form, "stderr", err, shares.err, RestOf(task_id, entry.sequence, "stderr"));
  DropUsual(form);
  return form;
}

namespace {

Result<TaskLogEntry> EntryOf(Engine& engine, const std::string& task_id, std::int64_t sequence) {
  PYRO_ASSIGN_OR_RETURN(TaskLogs logs, engine.LogsTask(task_id, sequence, 1));
  if (logs.entries.empty() || logs.entries[0].sequence != sequence) {
    return MakeError(ErrorCode::kNotFound, "the command is not in the journal any more");
  }
  return std::move(logs.entries[0]);
}

// Without the command: the caller has just said it.
Json CommandForm(const std::string& task_id, const TaskLogEntry& entry, bool restarted) {
  Json form = EntryForm(task_id, entry, kResultBudget + kCommandBudget);
  form.erase("command");
  form["task_id"] = task_id;
  form["restarted"] = restarted;
  return form;
}

}  // namespace

Result<mcp::ToolResult> TaskCommandResult(Engine& engine, const std::string& task_id,
                                          std::int64_t sequence, bool restarted,
                                          const Notices& notices) {
  PYRO_ASSIGN_OR_RETURN(const TaskLogEntry entry, EntryOf(engine, task_id, sequence));
  if (entry.outcome == Outcome::kInterrupted) {
    return MakeError(
        ErrorCode::kGuestUnavailable,
        fmt::format(
            "the task's guest went away while command {} ran; it is recorded as interrupted",
            sequence),
        fmt::format("task_logs(task_id=\"{}\", sequence={}) shows its output so far; the workspace "
                    "is kept and the next task_exec starts the guest again",
                    task_id, sequence));
  }
  mcp::ToolResult told =
      EntryResult(CommandForm(task_id, entry, restarted), WithCommand::kNo, notices);
  for (const auto& [name, bytes] :
       {std::pair<std::string, std::uint64_t>{"stdout", entry.stdout_bytes},
        std::pair<std::string, std::uint64_t>{"stderr", entry.stderr_bytes}}) {
    if (!told.structured->value(name + "_truncated", false)) continue;
    mcp::ResourceLink link;
    link.uri = StreamUri(task_id, sequence, name);
    link.name = name;
    link.title = fmt::format("{} of command {}", name, sequence);
    link.mime_type = "text/plain";
    link.size = bytes;
    told.content.push_back(mcp::ResourceLinkContent(link));
  }
  return told;
}

Result<mcp::ToolResult> RunningResult(Engine& engine, const StartedTaskCommand& started,
                                      const Notices& notices) {
  PYRO_ASSIGN_OR_RETURN(const TaskLogEntry entry,
                        EntryOf(engine, started.task_id, started.sequence));
  Json form = CommandForm(started.task_id, entry, started.restarted);
  if (form["stdout"] == "" && form["stderr"] == "") {
    form.erase("stdout");
    form.erase("stderr");
  }
  // It may have ended this moment: then its end is in the form, and in the journal.
  form["state"] = "running";
  for (const char* ended : {"outcome", "exit_code", "ended_at", "explanation"}) form.erase(ended);
  const std::string limit = started.timeout_seconds == 0
                                ? "it has no time limit"
                                : fmt::format("its limit is {} s", started.timeout_seconds);
  return EntryResult(
      std::move(form), WithCommand::kNo, notices,
      fmt::format(
          "Command {0} of {1} is still running and goes on; {2}. Read on, and wait for its end, "
          "with task_logs(task_id=\"{1}\", sequence={0}, wait_seconds=40); end it with "
          "task_stop(task_id=\"{1}\", sequence={0}).\n",
          started.sequence, started.task_id, limit));
}

}  // namespace pyro::mcp_server
