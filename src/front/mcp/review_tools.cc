// The tools that show a task's workspace as something to review, and bring a state of it back.

#include "front/mcp/tools.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/json.h"
#include "base/git_path.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/excerpt.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ToolResult;

// Of kResultBudget: the list of changes. The patch has the rest.
constexpr std::size_t kChangesBudget = 6 * 1024;
constexpr std::size_t kPatchBudget = kResultBudget - kChangesBudget;
constexpr std::size_t kChangeFacts = 80;  // The size of a change as JSON, without its path.
constexpr std::size_t kNamesBudget =
    1024;  // Of the paths that are named because they are not shown.

enum class SnapshotAction { kCreate, kReset, kList, kDelete };

std::string_view Name(SnapshotAction action) {
  switch (action) {
    case SnapshotAction::kCreate:
      return "create";
    case SnapshotAction::kReset:
      return "reset";
    case SnapshotAction::kList:
      return "list";
    case SnapshotAction::kDelete:
      return "delete";
  }
  return "";
}

struct SnapshotArguments : TaskSnapshotRequest {
  SnapshotAction action = SnapshotAction::kCreate;
};

constexpr api::Field kSnapshotArguments[] = {
    api::Inline<SnapshotArguments, TaskRequest>(),
    api::Row<SnapshotArguments, &SnapshotArguments::action>("action", "What to do.").Required(),
    api::Row<SnapshotArguments, &SnapshotArguments::name>("name", "The snapshot; not for list.")
        .Longest(64)};

// What the list says of a change; the patch has its text.
Json ChangeForm(const TaskChange& change) {
  Json form = {{"path", change.path}, {"kind", change.kind}};
  const std::string& type = change.type.empty() ? change.old_type : change.type;
  if (type != "file") form["type"] = type;
  if (!change.old_mode.empty() && !change.mode.empty() && change.old_mode != change.mode) {
    form["mode"] = change.mode;
    form["old_mode"] = change.old_mode;
  }
  if (!change.shown.empty() && change.shown != "text") form["shown"] = change.shown;
  return form;
}

// For what has no text: a line that programs which apply patches skip.
std::string LineOf(const TaskChange& change) {
  const std::string& type = change.type.empty() ? change.old_type : change.type;
  const char* const why = change.shown.empty()          ? ""
                          : change.shown == "too_large" ? ": too large to be shown"
                                                        : ": it could not be read";
  return fmt::format("# {} {} {}{}\n", change.kind, type, Printable(change.path, 4096), why);
}

// What fits, and what does not.
struct Shown {
  std::string patch;
  std::vector<const TaskChange*> omitted;
  bool cut = false;  // Only the two ends of a file's patch fit.
};

// Whole files. If none fits, the two ends of the first, so that each call shows something new.
Shown PatchWithin(const TaskDiff& diff, std::size_t room) {
  Shown shown;
  for (const TaskChange& change : diff.changes) {
    const std::string text = change.text.empty() ? LineOf(change) : change.text;
    const std::size_t cost = JsonCost(text);
    if (cost > room) {
      shown.omitted.push_back(&change);
      continue;
    }
    room -= cost;
    shown.patch += text;
  }
  if (!shown.patch.empty() || shown.omitted.empty()) return shown;
  const TaskChange& first = *shown.omitted.front();
  shown.omitted.erase(shown.omitted.begin());
  shown.cut = true;
  shown.patch = Cut({first.text, "", first.text.size()}, room,
                    "task_read_file shows the file, task_exec with diff parts of it")
                    .text;
  return shown;
}

// The call that shows what this one could not.
std::string MoreOf(const TaskDiff& diff, const Shown& shown) {
  if (shown.omitted.empty()) return "";
  std::string names;
  for (const TaskChange* change : shown.omitted) {
    const std::string name = ToJsonLine(change->path);
    if (names.size() + name.size() > kNamesBudget) break;
    names += (names.empty() ? "" : ", ") + name;
  }
  return fmt::format(
      "{} changes are not shown; task_diff(task_id=\"{}\", snapshot=\"{}\", "
      "paths={}) shows more\n",
      shown.omitted.size(), diff.task_id, diff.snapshot,
      names.empty() ? "…" : fmt::format("[{}]", names));
}

// Says what the disk is now, and what to call next.
ToolResult Told(Json form, const std::string& text) {
  ToolResult result = ToolResult::Structured(std::move(form));
  result.content.push_back(mcp::TextContent(text));
  return result;
}

Answer ListSnapshots(Engine& engine, const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(const TaskSnapshots list, engine.ListTaskSnapshots(task_id));
  std::string text = list.snapshots.empty()
                         ? "the task has no snapshot; action create with a name makes one\n"
                         : "";
  for (const TaskSnapshot& one : list.snapshots) {
    text += fmt::format("{}: {}, after command {}\n", one.name, one.created_at, one.sequence);
  }
  return Told(ToJson(list), text);
}

}  // namespace

const api::Struct& SnapshotArgumentRows() {
  static const api::Struct kRows = api::Describe<SnapshotArguments>(
      "SnapshotArguments", "What to do with a snapshot.", kSnapshotArguments);
  return kRows;
}

Answer UseSnapshot(const Host& host, CallContext& call, const Json& arguments) {
  SnapshotArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(SnapshotArgumentRows(), arguments, &request));
  const std::string& task_id = request.task_id;
  const std::string& name = request.name;
  if (request.action == SnapshotAction::kList) return ListSnapshots(host.engine, task_id);
  if (name.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("action {} needs the name of a snapshot", Name(request.action)),
                     "give name, too; action list shows the names");
  }
  CallReport report(call, 0, fmt::format("snapshot: {}", Name(request.action)));
  switch (request.action) {
    case SnapshotAction::kCreate: {
      PYRO_ASSIGN_OR_RETURN(const TaskSnapshotInfo made,
                            host.engine.CreateTaskSnapshot(task_id, name, report.Io()));
      return Told(ToJson(made),
                  fmt::format("kept as '{0}'. task_diff(task_id=\"{1}\", snapshot=\"{0}\") shows "
                              "what changes from now on; task_snapshot with action reset and this "
                              "name goes back to it.\n",
                              made.name, made.task_id));
    }
    case SnapshotAction::kDelete: {
      PYRO_ASSIGN_OR_RETURN(const DeletedTaskSnapshot deleted,
                            host.engine.DeleteTaskSnapshot(task_id, name));
      return Told(ToJson(deleted), fmt::format("deleted the snapshot '{}'\n", deleted.name));
    }
    default:
      break;
  }
  PYRO_ASSIGN_OR_RETURN(const TaskResetInfo reset,
                        host.engine.ResetTask(task_id, name, report.Io()));
  return Told(ToJson(reset),
              fmt::format("the disk is that of snapshot '{}' again. Processes have ended; the next "
                          "task_exec starts the guest. The journal goes on behind command {}.\n",
                          reset.snapshot, reset.sequence));
}

Answer DiffTask(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<DiffTaskRequest>(arguments));
  CallReport report(call, 0, "comparing the workspace");
  PYRO_ASSIGN_OR_RETURN(TaskDiff diff, host.engine.DiffTask(request, report.Io()));
  // What git keeps for itself is much, says little, and no patch is made for it.
  const std::size_t in_git =
      request.paths.empty()
          ? std::erase_if(diff.changes, [](const TaskChange& one) { return IsInGit(one.path); })
          : 0;
  const Shown shown = PatchWithin(diff, kPatchBudget);
  Json changes = Json::array();
  std::size_t room = kChangesBudget;
  for (const TaskChange& change : diff.changes) {
    const std::size_t cost = JsonCost(change.path) + kChangeFacts;
    if (cost > room) break;
    room -= cost;
    changes.push_back(ChangeForm(change));
  }
  std::string rest = MoreOf(diff, shown);
  const bool complete = rest.empty() && !shown.cut;
  if (in_git > 0) {
    rest += fmt::format(
        "changes in .git that are not shown: {}; give paths=[\".git\"] to see them\n", in_git);
  }
  Json form = {{"task_id", diff.task_id},   {"snapshot", diff.snapshot},
               {"added", diff.added},       {"removed", diff.removed},
               {"modified", diff.modified}, {"changes", std::move(changes)},
               {"patch", shown.patch},      {"complete", complete}};
  if (!rest.empty()) form["rest"] = rest;
  const std::string notes = TellNotices(form, report.Notices());
  return Told(std::move(form),
              notes + fmt::format("against snapshot '{}': {} added, {} removed, {} modified\n{}{}",
                                  diff.snapshot, diff.added, diff.removed, diff.modified,
                                  shown.patch, rest));
}

}  // namespace pyro::mcp_server
