#include "state/instance/instance_state.h"

#include <optional>
#include <string_view>

namespace pyro::state {
namespace {

struct Transition {
  std::optional<InstanceState> next;  // Empty: refused, with the two texts.
  std::string_view refusal = {};
  std::string_view hint = {};
};

constexpr Transition To(InstanceState state) { return {.next = state}; }

constexpr Transition Refuse(std::string_view refusal, std::string_view hint) {
  return {.next = std::nullopt, .refusal = refusal, .hint = hint};
}

constexpr Transition kGone = Refuse("it has been deleted", "create another one");
constexpr Transition kNotRunning =
    Refuse("it is not started and cannot run commands", "start it first");

using Row = std::array<Transition, kAllInstanceEvents.size()>;

// Rows in the order of InstanceState, columns in that of InstanceEvent.
constexpr std::array<Row, kAllInstanceStates.size()> kTransitions = {{
    {{
        To(InstanceState::kStarted),
        Refuse("it was never started and cannot be stopped", "start it, or delete it"),
        Refuse("it was never started and cannot be lost", "start it, or delete it"),
        To(InstanceState::kCreated),
        kNotRunning,
        To(InstanceState::kDeleted),
    }},
    {{
        Refuse("it is started already", "run commands in it, or stop it first"),
        To(InstanceState::kStopped),
        To(InstanceState::kStopped),
        To(InstanceState::kStarted),
        To(InstanceState::kStarted),
        Refuse("it is started and cannot be deleted", "stop it first"),
    }},
    {{
        To(InstanceState::kStarted),
        To(InstanceState::kStopped),
        To(InstanceState::kStopped),
        Refuse("it is stopped, and its lease cannot be renewed", "start it first"),
        kNotRunning,
        To(InstanceState::kDeleted),
    }},
    {{kGone, kGone, kGone, kGone, kGone, To(InstanceState::kDeleted)}},
}};

}  // namespace

Result<InstanceState> Next(InstanceState state, InstanceEvent event) {
  const Transition& transition =
      kTransitions.at(static_cast<std::size_t>(state)).at(static_cast<std::size_t>(event));
  if (transition.next) return *transition.next;
  return MakeError(ErrorCode::kWrongState, std::string(transition.refusal),
                   std::string(transition.hint));
}

}  // namespace pyro::state
