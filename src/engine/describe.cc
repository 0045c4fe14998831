#include "engine/describe.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>

#include "base/text.h"
#include "base/try.h"
#include "engine/explain.h"
#include "engine/machine.h"
#include "engine/network_rules.h"
#include "engine/secrets.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"
#include "state/instance/task_variables.h"
#include "state/journal/journal.h"
#include "sys/disk_walk.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using state::InstanceState;
using state::Registry;

using Pairs = std::map<std::string, std::string>;

// Calls `copy` with each pair of the same name, but not for a stored text whose other is a choice.
template <typename F>
void EachPair(std::span<const Field> fields, const void* object, const api::Struct& rows,
              const void* other, F copy) {
  for (const api::Member& member : api::MembersOf(rows, other)) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const Field& one) {
      return std::string_view(one.name) == member.field.name;
    });
    if (field == fields.end()) continue;
    const bool text = field->kind == FieldKind::kText;
    if (text && member.field.kind != api::Kind::kText) continue;
    const bool pairs = field->kind == FieldKind::kPairs;
    if (pairs && member.field.kind != api::Kind::kPairs) continue;
    copy(*field, field->at(const_cast<void*>(object)), member);
  }
}

}  // namespace

void CopyFields(std::span<const Field> fields, const void* from, const api::Struct& rows,
                void* to) {
  EachPair(fields, from, rows, to, [](const Field& field, const void* value, auto& member) {
    if (field.kind == FieldKind::kText) {
      *static_cast<std::string*>(member.value) = *static_cast<const std::string*>(value);
    } else if (field.kind == FieldKind::kTime) {
      *static_cast<std::string*>(member.value) =
          FormatTime(WallTime(WallTime::duration(field.load(value))));
    } else if (field.kind == FieldKind::kPairs) {
      *static_cast<Pairs*>(member.value) = *static_cast<const Pairs*>(value);
    } else {
      member.field.store(member.value, field.load(value));
    }
  });
}

void CopyFields(const api::Struct& rows, const void* from, std::span<const Field> fields,
                void* to) {
  EachPair(fields, to, rows, from, [](const Field& field, void* value, auto& member) {
    if (field.kind == FieldKind::kText) {
      *static_cast<std::string*>(value) = *static_cast<const std::string*>(member.value);
    } else if (field.kind == FieldKind::kPairs) {
      *static_cast<Pairs*>(value) = *static_cast<const Pairs*>(member.value);
    } else {
      field.store(value, member.field.load(member.value));
    }
  });
}

VmInfo DescribeVm(const InstanceRecord& vm) {
  VmInfo info;
  CopyFields(state::kInstanceFields, &vm, api::Rows<VmInfo>(), &info);
  info.vm_id = vm.id.str();
  info.network_enabled = vm.network;
  info.network_rules = DescribeNetworkRules(vm.network_rules);
  info.secrets = DescribeSecrets(vm.secret_refs);
  info.machine = MachineOf(vm);
  return info;
}

Result<TaskInfo> DescribeTask(const Context& context, Registry& registry,
                              const InstanceRecord& task) {
  TaskInfo info;
  CopyFields(state::kInstanceFields, &task, api::Rows<TaskInfo>(), &info);
  info.task_id = task.id.str();
  info.network_enabled = task.network;
  info.network_rules = DescribeNetworkRules(task.network_rules);
  info.secrets = DescribeSecrets(task.secret_refs);
  info.machine = MachineOf(task);
  if (task.state == InstanceState::kStarted &&
      state::IsStarving(state::InstanceDirectory(context.state, task.id))) {
    info.last_error =
        "this host's disk is full: no command can start, and output is dropped, until some is free";
  }
  if (task.state == InstanceState::kStarted &&
      state::IsReadOnly(state::InstanceDirectory(context.state, task.id))) {
    info.read_only =
        "the guest could not write to its disk, as when this host's disk is full; make room, stop "
        "the task, and the next command starts it with the disk as it is";
  }
  info.defaults.cwd = task.cwd;
  info.defaults.user = task.user;
  info.defaults.timeout_seconds = task.timeout_seconds;
  const auto env = state::ReadTaskVariables(state::InstanceDirectory(context.state, task.id), task);
  // A broken file must not hide the others of a list.
  if (!env) info.last_error = env.error().message;
  if (env) {
    for (const auto& [name, value] : *env) info.defaults.env.push_back(name);
  }
  // Not a walk over the journal, which may have ten thousand entries.
  info.disk_bytes = sys::DiskUsage(state::DataImage(context.state, task.id)) + task.output_bytes;
  PYRO_ASSIGN_OR_RETURN(const std::optional<state::CommandRecord> last,
                        registry.LastCommand(task.id));
  if (last) info.last_command = DescribeCommand(context, *last, task.accelerator);
  return info;
}

std::optional<KilledProcesses> DescribeKilled(const std::optional<KilledTree>& killed) {
  if (!killed) return std::nullopt;
  KilledProcesses described{.count = killed->count, .gone = killed->gone, .processes = {}};
  for (const KilledProcess& one : killed->processes) {
    described.processes.push_back({one.pid, Printable(one.name)});
  }
  return described;
}

TaskCommand DescribeCommand(const Context& context, const state::CommandRecord& command,
                            std::string_view accelerator) {
  TaskCommand described;
  described.sequence = command.sequence;
  described.command = command.argv;
  described.cwd = command.cwd;
  described.timeout_seconds = command.timeout_ms / 1000;
  const state::CommandBegin& begin = command;
  CopyFields(state::kCommandBeginFields, &begin, api::Rows<TaskCommand>(), &described);
  if (!command.end) {
    // The guest's own clock has not told yet.
    const auto ran = std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.Now() -
                                                                           command.started_at);
    described.duration_ms = std::max<std::int64_t>(ran.count(), 0);
    return described;
  }
  const CommandEnd& end = *command.end;
  described.state = CommandState::kEnded;
  CopyFields(state::kCommandEndFields, &end, api::Rows<TaskCommand>(), &described);
  described.exit_code = end.ExitCode();
  described.duration_ms = end.duration_us / 1000;
  described.explanation = Explain(command, end, accelerator, InTask::kYes);
  const std::filesystem::path directory = state::InstanceDirectory(context.state, command.task_id);
  // The guest has started again since then: there is no more to do for its disk.
  if (end.disk_failed && !state::IsReadOnly(directory)) {
    CommandEnd of_the_rest = end;
    of_the_rest.disk_failed = of_the_rest.output_left_open = false;
    described.explanation.hint = Explain(command, of_the_rest, accelerator, InTask::kYes).hint;
  }
  described.denied = DescribeDenied(state::ReadDenied(directory, command.sequence));
  if (end.outcome == Outcome::kTimedOut || end.outcome == Outcome::kCancelled) {
    described.killed = DescribeKilled(state::ReadKilled(directory, command.sequence));
  }
  return described;
}

TaskReset DescribeReset(const state::Reset& reset) {
  return {reset.snapshot, reset.sequence, FormatTime(reset.reset_at)};
}

}  // namespace pyro::engine
