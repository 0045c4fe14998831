// What a user's guests may take together, and the guests that run now:
//
//   STATE/guests/limits.json           what holds for processes that read no settings
//   STATE/guests/lock                  held while guests are counted
//   STATE/guests/<id>.<MiB>.<random>   one for each guest, locked as long as it runs
//
// A guest counts while its file's lock is held, so that a kill at any point leaves no reservation.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/fields.h"
#include "pyro/result.h"
#include "state/registry.h"
#include "sys/file_lock.h"

namespace pyro::state {

// Zero: no limit.
struct GuestLimits {
  std::int64_t guests = 0;            // That run at once, with waiting spares.
  std::int64_t guest_memory_mib = 0;  // Of those together.
  std::int64_t tasks = 0;
  std::int64_t free_disk_mib = 0;    // That stays free on the file system.
  std::int64_t host_memory_mib = 0;  // That must be available when a guest starts.

  friend bool operator==(const GuestLimits&, const GuestLimits&) = default;
};

inline constexpr std::int64_t kMaxGuests = 100'000;
inline constexpr std::int64_t kMaxTasks = 10'000'000;
inline constexpr std::int64_t kMaxLimitMib = std::int64_t{1} << 40;

inline constexpr Field kGuestLimitFields[] = {
    Row<GuestLimits, &GuestLimits::guests>("guests").To(kMaxGuests),
    Row<GuestLimits, &GuestLimits::guest_memory_mib>("guest_memory_mib").To(kMaxLimitMib),
    Row<GuestLimits, &GuestLimits::tasks>("tasks").To(kMaxTasks),
    Row<GuestLimits, &GuestLimits::free_disk_mib>("free_disk_mib").To(kMaxLimitMib),
    Row<GuestLimits, &GuestLimits::host_memory_mib>("host_memory_mib").To(kMaxLimitMib),
};

// None that can be read: no limits.
GuestLimits ReadGuestLimits(const std::filesystem::path& state_dir);
// Writes the file if it has others.
Status WriteGuestLimits(const std::filesystem::path& state_dir, const GuestLimits& limits);

struct RunningGuests {
  std::int64_t count = 0;
  std::int64_t memory_mib = 0;
};
// Removes what ended guests have left. kTimedOut: another process counts.
Result<RunningGuests> CountGuests(const std::filesystem::path& state_dir);

// The right to run a guest of this size; its supervisor inherits the lock and holds it for life.
// kLimit: one more would exceed `guests` or `guest_memory_mib`. Of processes that ask at once, no
// two get the last room. kTimedOut: another process counts.
Result<sys::FileLock> ReserveGuest(const std::filesystem::path& state_dir, std::string_view id,
                                   std::int64_t memory_mib, const GuestLimits& limits);

// kLimit: the registry has as many tasks as that. Call it in the transaction that adds one.
Status CheckTaskLimit(Registry& registry, const GuestLimits& limits);

// kNoSpace: the file system of `directory` has less room than that.
Status CheckFreeDisk(const std::filesystem::path& directory, std::int64_t free_disk_mib);

// kLimit: the host has less memory available.
Status CheckHostMemory(std::int64_t host_memory_mib);

}  // namespace pyro::state
