#include "engine/task/running_task.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/describe.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

using state::InstanceState;
using state::Registry;

constexpr std::int64_t kMostInterrupted = 100;

// Before a task starts again. The commands that its guest's end interrupted are the newest whose
// end no later command saw.
Result<Restart> PlanRestart(const Context& context, Registry& registry, const InstanceId& id) {
  Restart restart;
  restart.kept = {"/workspace", "the root file system with /tmp", "the journal"};
  restart.lost = {"processes", "memory", "/run", "/dev/shm"};
  PYRO_ASSIGN_OR_RETURN(const std::vector<state::CommandRecord> newest,
                        registry.ListCommands(id, RangeOf(1, -kMostInterrupted)));
  WallTime last_start{};
  for (const state::CommandRecord& one : newest) last_start = std::max(last_start, one.started_at);
  for (auto one = newest.rbegin(); one != newest.rend(); ++one) {
    if (!one->end || one->end->outcome != Outcome::kInterrupted) continue;
    if (one->end->ended_at < last_start) continue;
    restart.interrupted.push_back({one->sequence, DescribeCommand(context, *one, "").command});
  }
  return restart;
}

// One line for people.
std::string Receipt(const InstanceId& id, const Restart& restart) {
  std::string text = fmt::format(
      "task {} was stopped; starting it again with its workspace as it was, and its root file "
      "system. Processes, memory, /run and /dev/shm are gone",
      id.str());
  constexpr std::size_t kNamed = 3;
  for (std::size_t i = 0; i < restart.interrupted.size() && i < kNamed; ++i) {
    const Restart::Ended& one = restart.interrupted[i];
    text += fmt::format("{} command {} ({})", i == 0 ? ", with" : " and", one.sequence,
                        Printable(ShellJoin(one.command), 40));
  }
  const std::size_t more =
      restart.interrupted.size() - std::min(restart.interrupted.size(), kNamed);
  if (more > 0) text += fmt::format(" and {} more", more);
  return text;
}

}  // namespace

Result<Running> EnsureRunning(const Context& context, Found& found, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckMade(context, found.instance.id));
  PYRO_FAILPOINT("task.start.found");
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context, found));
  if (taken.link || taken.instance.state == InstanceState::kStarted) {
    return Running{std::move(taken), std::nullopt};
  }
  PYRO_ASSIGN_OR_RETURN(Restart restart, PlanRestart(context, found.registry, taken.instance.id));
  if (io.on_notice) {
    io.on_notice(Receipt(taken.instance.id, restart));
  }
  PYRO_FAILPOINT("task.start.taken-over");
  auto link = StartGuest(context, taken.instance, *taken.lock, {}, io);
  PYRO_FAILPOINT("task.start.supervised");
  if (!link) return std::move(link).error();
  return Running{{std::move(taken.instance), std::move(*link), std::nullopt}, std::move(restart)};
}

Result<Running> EnsureReadyGuest(const Context& context, Found& found, std::string_view what,
                                 std::string hint, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Running running, EnsureRunning(context, found, io));
  if (!running.taken.link) {
    return MakeError(ErrorCode::kWrongState, fmt::format("the task runs on the host, and {}", what),
                     std::move(hint));
  }
  PYRO_RETURN_IF_ERROR(running.taken.link->AwaitReady(Deadline::After(kReadyLimit), io));
  return running;
}

}  // namespace pyro::engine
