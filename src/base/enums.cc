#include "pyro/enums.h"

#include <algorithm>
#include <array>

#include "pyro/watch.h"

namespace pyro {
namespace {

// In the order of each enum.
constexpr std::array<std::string_view, 6> NamesOf(Outcome) {
  return {"exited", "signalled", "timed_out", "cancelled", "not_started", "interrupted"};
}
constexpr std::array<std::string_view, 2> NamesOf(CommandState) { return {"running", "ended"}; }
constexpr std::array<std::string_view, 4> NamesOf(GuestState) {
  return {"created", "started", "stopped", "deleted"};
}
constexpr std::array<std::string_view, 4> NamesOf(ExecutionMode) {
  return {"pending", "guest_virtio_serial", "guest_vsock", "host_compat"};
}
constexpr std::array<std::string_view, 2> NamesOf(OutputStream) { return {"stdout", "stderr"}; }
constexpr std::array<std::string_view, 7> NamesOf(FileKind) {
  return {"file", "directory", "symlink", "fifo", "socket", "character_device", "block_device"};
}
constexpr std::array<std::string_view, 5> NamesOf(FileChange) {
  return {"began", "created", "changed", "removed", "lost"};
}
constexpr std::array<std::string_view, 4> NamesOf(MachineKind) {
  return {"auto", "kvm", "tcg", "usermode"};
}
constexpr std::array<std::string_view, 2> NamesOf(SyncSide) { return {"host", "task"}; }
constexpr std::array<std::string_view, 9> NamesOf(Event::Kind) {
  return {"present",       "created", "started", "command_began",       "output",
          "command_ended", "stopped", "deleted", "environments_changed"};
}

template <typename Enum>
std::string_view NameOf(Enum value) {
  const auto names = NamesOf(value);
  const auto index = static_cast<std::size_t>(value);
  return index < names.size() ? names[index] : std::string_view();
}

}  // namespace

std::string_view Name(Outcome outcome) { return NameOf(outcome); }
std::string_view Name(CommandState state) { return NameOf(state); }
std::string_view Name(GuestState state) { return NameOf(state); }
std::string_view Name(ExecutionMode mode) { return NameOf(mode); }
std::string_view Name(OutputStream stream) { return NameOf(stream); }
std::string_view Name(FileKind kind) { return NameOf(kind); }
std::string_view Name(FileChange change) { return NameOf(change); }
std::string_view Name(MachineKind machine) { return NameOf(machine); }
std::string_view Name(SyncSide side) { return NameOf(side); }
std::string_view Name(Event::Kind kind) { return NameOf(kind); }

template <typename Enum>
std::optional<Enum> FromName(std::string_view name) {
  constexpr auto kNames = NamesOf(Enum{});
  const auto* const found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Enum>(found - kNames.begin());
}

template std::optional<Outcome> FromName(std::string_view name);
template std::optional<CommandState> FromName(std::string_view name);
template std::optional<GuestState> FromName(std::string_view name);
template std::optional<ExecutionMode> FromName(std::string_view name);
template std::optional<OutputStream> FromName(std::string_view name);
template std::optional<FileKind> FromName(std::string_view name);
template std::optional<FileChange> FromName(std::string_view name);
template std::optional<MachineKind> FromName(std::string_view name);
template std::optional<SyncSide> FromName(std::string_view name);

}  // namespace pyro
