// The limits of this user: what the settings come to, and their enforcement before something is
// begun (docs/design/0031-quotas.md).

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/quota.h"
#include "sys/file_lock.h"

namespace pyro::engine {

// Zero: no limit.
struct Limits {
  state::GuestLimits guests;             // With what `auto` comes to on this host.
  std::int64_t disk_mib = 0;             // That all files take together.
  std::int64_t cache_free_disk_mib = 0;  // Of the cache's file system; `guests` has the state's.
};

// Also writes them for processes that read no settings. The errors of ReadSettings().
Result<Limits> ReadLimits(const Context& context);

// Before something is made on the disk. kNoSpace: too little stays free, or the files take their
// limit already.
Status CheckDisk(const Context& context);

// The same, and the reservation for a guest of this size, which its supervisor inherits. Waiting
// spares end if there is no room else. kLimit: there is still none.
Result<sys::FileLock> MakeRoomForGuest(const Context& context, std::string_view id,
                                       std::int64_t mem_mib);

// The limits with their use. `disk_bytes`: of all files.
Result<std::vector<LimitInfo>> DescribeLimits(const Context& context, std::uint64_t disk_bytes);

// Of all files of state and cache.
std::uint64_t BytesOfEverything(const Context& context);

}  // namespace pyro::engine
