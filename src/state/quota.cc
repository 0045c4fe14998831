#include "state/quota.h"

#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/random.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kCountLimit{10};
constexpr std::size_t kMaxLimitsBytes = 4096;

fs::path GuestsDirectory(const fs::path& state_dir) { return state_dir / "guests"; }
fs::path LimitsFile(const fs::path& state_dir) {
  return GuestsDirectory(state_dir) / "limits.json";
}

Result<sys::FileLock> LockForCounting(const fs::path& state_dir) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(GuestsDirectory(state_dir)));
  return sys::FileLock::Acquire(GuestsDirectory(state_dir) / "lock", Deadline::After(kCountLimit));
}

// nullopt: the file is not a guest's.
std::optional<std::int64_t> MemoryOf(const fs::path& file) {
  const std::string name = file.filename().native();
  const std::vector<std::string_view> parts = Split(name, '.');
  if (parts.size() != 3) return std::nullopt;
  const auto memory = ParseInt(parts[1]);
  if (!memory || *memory < 0 || *memory > kMaxLimitMib) return std::nullopt;
  return *memory;
}

// For the holder of the lock.
RunningGuests CountHeld(const fs::path& directory) {
  RunningGuests running;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const auto memory = MemoryOf(it->path());
    if (!memory) continue;
    const auto lock = sys::FileLock::TryAcquire(it->path());
    if (lock && *lock) {
      ::unlink(it->path().c_str());
      continue;
    }
    // What cannot be asked, as for lack of descriptors, may run.
    ++running.count;
    running.memory_mib += *memory;
  }
  return running;
}

Error TooMany(std::string message, std::string_view setting) {
  return MakeError(ErrorCode::kLimit, std::move(message),
                   fmt::format("stop or delete some, or raise it: pyro config set {} N", setting));
}

Status CheckGuests(const RunningGuests& running, std::int64_t memory_mib,
                   const GuestLimits& limits) {
  if (limits.guests > 0 && running.count >= limits.guests) {
    return TooMany(fmt::format("{} {} at once, and no more may", running.count,
                               running.count == 1 ? "guest runs" : "guests run"),
                   "limit.guests");
  }
  if (limits.guest_memory_mib > 0 && running.memory_mib + memory_mib > limits.guest_memory_mib) {
    return TooMany(fmt::format("a guest of {} MiB does not fit: others have {} of {} MiB",
                               memory_mib, running.memory_mib, limits.guest_memory_mib),
                   "limit.guest_memory");
  }
  return OkStatus();
}

}  // namespace

GuestLimits ReadGuestLimits(const fs::path& state_dir) {
  const auto text = sys::ReadFile(LimitsFile(state_dir), kMaxLimitsBytes);
  const auto json = text ? ParseJson(*text, kMaxLimitsBytes) : Result<Json>(text.error());
  GuestLimits limits;
  if (!json || !ReadFields(kGuestLimitFields, *json, &limits)) return {};
  return limits;
}

Status WriteGuestLimits(const fs::path& state_dir, const GuestLimits& limits) {
  if (ReadGuestLimits(state_dir) == limits) return OkStatus();
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(GuestsDirectory(state_dir)));
  return sys::WriteFileAtomically(LimitsFile(state_dir),
                                  ToJsonLine(FieldsToJson(kGuestLimitFields, &limits)) + "\n");
}

Result<RunningGuests> CountGuests(const fs::path& state_dir) {
  std::error_code error;
  if (!fs::exists(GuestsDirectory(state_dir), error)) return RunningGuests();
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockForCounting(state_dir));
  return CountHeld(GuestsDirectory(state_dir));
}

Result<sys::FileLock> ReserveGuest(const fs::path& state_dir, std::string_view id,
                                   std::int64_t memory_mib, const GuestLimits& limits) {
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockForCounting(state_dir));
  const fs::path directory = GuestsDirectory(state_dir);
  PYRO_RETURN_IF_ERROR(CheckGuests(CountHeld(directory), memory_mib, limits));
  // A name of its own: the guest's last supervisor may hold its file for a moment longer.
  const fs::path file =
      directory / fmt::format("{}.{}.{}", id, memory_mib, EncodeBase32(sys::RandomBits()));
  PYRO_ASSIGN_OR_RETURN(std::optional<sys::FileLock> own, sys::FileLock::TryAcquire(file));
  PYRO_FAILPOINT("guest.reserved");
  if (own) return std::move(*own);
  return MakeError(ErrorCode::kInternal, "a new guest's reservation is taken");
}

Status CheckTaskLimit(Registry& registry, const GuestLimits& limits) {
  if (limits.tasks == 0) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> tasks,
                        registry.List(InstanceKind::kTask));
  const auto count = static_cast<std::int64_t>(tasks.size());
  if (count < limits.tasks) return OkStatus();
  return TooMany(fmt::format("there {} {}, and no more may be", count == 1 ? "is" : "are",
                             count == 1 ? "1 task" : fmt::format("{} tasks", count)),
                 "limit.tasks");
}

Status CheckFreeDisk(const fs::path& directory, std::int64_t free_disk_mib) {
  if (free_disk_mib == 0) return OkStatus();
  const auto room = sys::FreeSpace(directory);
  // A file system that does not tell must not keep guests from starting.
  if (!room || *room >= static_cast<std::uint64_t>(free_disk_mib) << 20) return OkStatus();
  return MakeError(
      ErrorCode::kNoSpace,
      fmt::format("{} is free on the disk of '{}', where {} MiB must stay free", FormatBytes(*room),
                  Printable(directory.native(), 400), free_disk_mib),
      "'pyro df' shows what takes the disk, and 'pyro gc' frees what nothing needs; "
      "limit.free_disk is the setting");
}

Status CheckHostMemory(std::int64_t host_memory_mib) {
  if (host_memory_mib == 0) return OkStatus();
  const auto memory = sys::ReadHostMemory();
  // 0: this kernel does not tell.
  if (!memory || memory->available_mib == 0 ||
      memory->available_mib >= static_cast<std::uint64_t>(host_memory_mib)) {
    return OkStatus();
  }
  return MakeError(ErrorCode::kLimit,
                   fmt::format("{} MiB of this host's memory are available, and {} MiB must be",
                               memory->available_mib, host_memory_mib),
                   "stop some guests or other programs; limit.host_memory is the setting");
}

}  // namespace pyro::state
