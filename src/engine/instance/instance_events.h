// The events of VMs and tasks: compares what is recorded with what was told.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/context.h"
#include "engine/state_watch.h"
#include "pyro/watch.h"
#include "state/registry.h"

namespace pyro::engine {

// What an error keeps from being told is told by the next look. Belongs to one thread.
class InstanceEvents {
 public:
  // `only`: a whole id, or empty for all. `changes` follows each guest and command that is found;
  // `events` gets the events. All but `only` are borrowed.
  InstanceEvents(const Context& context, StateWatch& changes, std::vector<Event>& events,
                 std::string only)
      : context_(context), changes_(changes), events_(events), only_(std::move(only)) {}

  // Entries of the directories of VMs and tasks. One without a row came and went before a look.
  void Appeared(std::set<std::string> entries) { appeared_.merge(std::move(entries)); }
  // The first look finds what was there before.
  Status LookAtRows(state::Registry& registry);
  void LookAtOutput(const std::string& id, std::int64_t sequence);

  // None was found, or all were deleted.
  bool empty() const { return told_.empty(); }
  bool all() const { return only_.empty(); }

  // The rest of the event is for the caller to fill.
  Event& Tell(Event::Kind kind, const std::string& id, std::optional<WallTime> at = std::nullopt);

 private:
  struct ToldCommand {
    std::array<std::uint64_t, 2> bytes{};
    bool followed = false;
  };
  struct ToldInstance {
    state::InstanceState state = state::InstanceState::kCreated;
    std::optional<WallTime> started_at;
    std::int64_t next_sequence = 1;
    bool followed = false;
    std::map<std::int64_t, ToldCommand> running;
  };

  bool Wanted(const std::string& id) const { return only_.empty() || id == only_; }
  Status LookAt(state::Registry& registry, const state::InstanceRecord& instance);
  ToldInstance& TellStart(const state::InstanceRecord& instance);
  Status TellEnds(state::Registry& registry, const InstanceId& id, ToldInstance& told);
  Status TellBegins(state::Registry& registry, const state::InstanceRecord& task,
                    ToldInstance& told);
  void TellCommand(const state::CommandRecord& command, ToldCommand& told);
  void TellOutput(const std::string& id, std::int64_t sequence, ToldCommand& told);
  void TellDeletions(const std::set<std::string>& present);

  const Context& context_;
  StateWatch& changes_;
  std::vector<Event>& events_;
  const std::string only_;
  bool first_ = true;
  std::map<std::string, ToldInstance> told_;
  std::set<std::string> appeared_;
};

}  // namespace pyro::engine
