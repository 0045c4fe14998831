// What a task's network may reach, and what of that changes while it runs.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/local_engine.h"
#include "engine/network_rules.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"
#include "state/journal/network_changes.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using wire::FrameType;

constexpr std::chrono::seconds kRulesLimit{15};

TaskNetwork DescribeNetwork(const Context& context, const InstanceRecord& task) {
  TaskNetwork network;
  network.task_id = task.id.str();
  network.network_enabled = task.network;
  network.network_rules = DescribeNetworkRules(task.network_rules);
  network.denied =
      DescribeDenied(state::ReadGuestDenied(state::InstanceDirectory(context.state, task.id)));
  if (task.network_json.empty()) return network;
  if (const auto json = ParseJson(task.network_json); json && json->is_object()) {
    network.ipv6_address = json->value("ipv6_address", "");
  }
  return network;
}

Status CheckHasNetwork(const InstanceRecord& task) {
  if (task.allow_host_compat) {
    return MakeError(ErrorCode::kWrongState,
                     "the task may run on this host, where no rule of the network would hold",
                     "make a task without allow_host_compat");
  }
  if (task.network) return OkStatus();
  return MakeError(ErrorCode::kWrongState, "the task has no network",
                   "make a task with --network or --allow");
}

// The guest that runs has the rules of the row when this returns. A later one takes them anyway.
Status TellGuest(const Context& context, Found& found) {
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context, found));
  if (!taken.link) return OkStatus();
  taken.link->Send(EncodeFrame(wire::Plain(FrameType::kNetRules)));
  const Deadline deadline = Deadline::After(kRulesLimit);
  while (true) {
    auto frame = taken.link->Next(deadline, -1);
    // It has ended meanwhile.
    if (!frame && frame.error().code == ErrorCode::kGuestUnavailable) return OkStatus();
    if (!frame) return std::move(frame).error();
    if (frame->type == FrameType::kNetRuled || frame->type == FrameType::kStopped) {
      return OkStatus();
    }
    if (frame->type == FrameType::kError) return wire::ErrorFromFrame(*frame);
  }
}

// Row, manifest and the line of the journal in one transaction.
Result<TaskNetwork> ChangeRules(const Context& context, const std::string& task_id, RuleVerb verb,
                                const std::vector<std::string>& hosts) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context, task_id));
  PYRO_RETURN_IF_ERROR(CheckMade(context, found.instance.id));
  PYRO_RETURN_IF_ERROR(CheckHasNetwork(found.instance));
  const auto directory = state::InstanceDirectory(context.state, found.instance.id);
  std::optional<InstanceRecord> task;
  PYRO_RETURN_IF_ERROR(found.registry.WithExclusive([&]() -> Status {
    ChangedRules changed;
    const auto change = [&](state::InstanceSpec& spec) -> Status {
      PYRO_ASSIGN_OR_RETURN(changed, ChangeNetworkRules(spec.network_rules, verb, hosts));
      spec.network_rules = changed.text;
      return OkStatus();
    };
    PYRO_ASSIGN_OR_RETURN(task, found.registry.Configure(found.instance.id, change));
    PYRO_RETURN_IF_ERROR(state::ReplaceManifest(context.state, *task));
    PYRO_FAILPOINT("task.network.manifest-written");
    std::vector<state::NetworkChange> lines;
    for (const std::string& rule : changed.changes) {
      lines.push_back({rule, context.clock.Now(), task->next_sequence - 1});
    }
    if (lines.empty()) return OkStatus();
    return state::AddNetworkChanges(directory, lines);
  }));
  PYRO_FAILPOINT("task.network.row-committed");
  if (const Status told = TellGuest(context, found); !told) {
    return MakeError(
        told.error().code,
        "the rules are stored, but the running guest did not take them: " + told.error().message,
        "stop the task: its next guest has them");
  }
  return DescribeNetwork(context, *task);
}

}  // namespace

Result<TaskNetwork> LocalEngine::NetworkTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, FindTask(context_, task_id));
  return DescribeNetwork(context_, found.instance);
}

Result<TaskNetwork> LocalEngine::AllowInTask(const std::string& task_id,
                                             const std::vector<std::string>& hosts) {
  return ChangeRules(context_, task_id, RuleVerb::kAllow, hosts);
}

Result<TaskNetwork> LocalEngine::DenyInTask(const std::string& task_id,
                                            const std::vector<std::string>& hosts) {
  return ChangeRules(context_, task_id, RuleVerb::kDeny, hosts);
}

}  // namespace pyro::engine
