#include "registry/vm_state.h"

#include <optional>

namespace pyro::registry {
namespace {

struct Transition {
  std::optional<VmState> next;  // Empty: refused, with the two texts.
  std::string_view refusal = {};
  std::string_view hint = {};
};

constexpr Transition To(VmState state) { return {.next = state}; }

constexpr Transition Refuse(std::string_view refusal, std::string_view hint) {
  return {.next = std::nullopt, .refusal = refusal, .hint = hint};
}

constexpr Transition kGone = Refuse("it has been deleted", "create another one");
constexpr Transition kNotRunning =
    Refuse("it is not started and cannot run commands", "start it first");

using Row = std::array<Transition, kAllVmEvents.size()>;

// Rows in the order of VmState, columns in that of VmEvent.
constexpr std::array<Row, kAllVmStates.size()> kTransitions = {{
    {{
        To(VmState::kStarted),
        Refuse("it was never started and cannot be stopped", "start it, or delete it"),
        Refuse("it was never started and cannot be lost", "start it, or delete it"),
        To(VmState::kCreated),
        kNotRunning,
        To(VmState::kDeleted),
    }},
    {{
        Refuse("it is started already", "run commands in it, or stop it first"),
        To(VmState::kStopped),
        To(VmState::kStopped),
        To(VmState::kStarted),
        To(VmState::kStarted),
        Refuse("it is started and cannot be deleted", "stop it first"),
    }},
    {{
        To(VmState::kStarted),
        To(VmState::kStopped),
        To(VmState::kStopped),
        Refuse("it is stopped, and its lease cannot be renewed", "start it first"),
        kNotRunning,
        To(VmState::kDeleted),
    }},
    {{kGone, kGone, kGone, kGone, kGone, To(VmState::kDeleted)}},
}};

}  // namespace

Result<VmState> Next(VmState state, VmEvent event) {
  const Transition& transition =
      kTransitions.at(static_cast<std::size_t>(state)).at(static_cast<std::size_t>(event));
  if (transition.next) return *transition.next;
  return MakeError(ErrorCode::kWrongState, std::string(transition.refusal),
                   std::string(transition.hint));
}

std::string_view VmStateName(VmState state) {
  switch (state) {
    case VmState::kCreated:
      return "created";
    case VmState::kStarted:
      return "started";
    case VmState::kStopped:
      return "stopped";
    case VmState::kDeleted:
      return "deleted";
  }
  return "";
}

}  // namespace pyro::registry
