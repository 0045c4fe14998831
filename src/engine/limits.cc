#include "engine/limits.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/instance/spares.h"
#include "engine/local_engine.h"
#include "engine/settings.h"
#include "sys/disk_walk.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostFreeDiskMib = 512;
constexpr std::int64_t kMostHostMemoryMib = 256;
constexpr std::int64_t kShare = 20;  // A twentieth of a small disk or memory is enough.
// A guest that has ended for its caller may hold its reservation for a moment longer.
constexpr std::chrono::milliseconds kEndsSoon{500};
constexpr std::chrono::milliseconds kAskAgain{10};
constexpr int kMostSparesEnded = 256;

// The nearest directory that exists: a file system can be asked about no other.
fs::path Existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

std::int64_t UsualFreeDisk(const fs::path& directory) {
  const auto size = sys::FileSystemSize(Existing(directory));
  if (!size) return 0;
  return std::min(kMostFreeDiskMib, static_cast<std::int64_t>(*size >> 20) / kShare);
}

std::int64_t UsualHostMemory() {
  const auto memory = sys::ReadHostMemory();
  if (!memory) return 0;
  return std::min(kMostHostMemoryMib, static_cast<std::int64_t>(memory->total_mib) / kShare);
}

Result<Limits> Resolve(const Context& context, const Settings& settings) {
  Limits limits;
  state::GuestLimits& guests = limits.guests;
  guests.guests = settings.NumberOf(kLimitGuests).value_or(0);
  guests.guest_memory_mib = settings.NumberOf(kLimitGuestMemory).value_or(0);
  guests.tasks = settings.NumberOf(kLimitTasks).value_or(0);
  const auto free_disk = settings.NumberOf(kLimitFreeDisk);
  guests.free_disk_mib = free_disk ? *free_disk : UsualFreeDisk(context.state);
  limits.cache_free_disk_mib = free_disk ? *free_disk : UsualFreeDisk(context.cache);
  const auto host_memory = settings.NumberOf(kLimitHostMemory);
  guests.host_memory_mib = host_memory ? *host_memory : UsualHostMemory();
  limits.disk_mib = settings.NumberOf(kLimitDisk).value_or(0);
  return limits;
}

Status CheckDiskWith(const Context& context, const Limits& limits) {
  PYRO_RETURN_IF_ERROR(state::CheckFreeDisk(Existing(context.state), limits.guests.free_disk_mib));
  PYRO_RETURN_IF_ERROR(state::CheckFreeDisk(Existing(context.cache), limits.cache_free_disk_mib));
  if (limits.disk_mib == 0) return OkStatus();
  const std::uint64_t taken = BytesOfEverything(context);
  if (taken < static_cast<std::uint64_t>(limits.disk_mib) << 20) return OkStatus();
  return MakeError(ErrorCode::kNoSpace,
                   fmt::format("pyro's files take {}, and {} MiB are all that they may",
                               FormatBytes(taken), limits.disk_mib),
                   "'pyro df' shows what takes the disk, and 'pyro gc' frees what nothing needs; "
                   "limit.disk is the setting");
}

LimitInfo DescribeLimit(const Settings& settings, std::string_view name, std::int64_t limit,
                        std::string_view kind) {
  LimitInfo info;
  info.name = name;
  info.kind = kind;
  const auto setting = settings.Get(name);
  if (setting) info.sentence = setting->sentence;
  const bool set = !settings.ValueOf(name).empty();
  info.decided_by = set ? "setting" : "default";
  if (limit > 0 || (kind == "at_least" && set)) info.limit = limit;
  return info;
}

}  // namespace

std::uint64_t BytesOfEverything(const Context& context) {
  sys::DiskWalk walk;
  return walk.Add(context.state) + walk.Add(context.cache);
}

Result<Limits> ReadLimits(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context.configuration));
  PYRO_ASSIGN_OR_RETURN(Limits limits, Resolve(context, settings));
  // Spares alone look at the file, so a full disk must keep no guest of a caller from starting.
  (void)state::WriteGuestLimits(context.state, limits.guests);
  return limits;
}

Status CheckDisk(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const Limits limits, ReadLimits(context));
  return CheckDiskWith(context, limits);
}

Result<sys::FileLock> MakeRoomForGuest(const Context& context, std::string_view id,
                                       std::int64_t mem_mib) {
  PYRO_ASSIGN_OR_RETURN(const Limits limits, ReadLimits(context));
  PYRO_RETURN_IF_ERROR(CheckDiskWith(context, limits));
  int ended = 0;
  Deadline deadline = Deadline::After(kEndsSoon);
  while (true) {
    Status memory = state::CheckHostMemory(limits.guests.host_memory_mib);
    auto reserved = memory ? state::ReserveGuest(context.state, id, mem_mib, limits.guests)
                           : Result<sys::FileLock>(memory.error());
    if (reserved || reserved.error().code != ErrorCode::kLimit) return reserved;
    if (ended < kMostSparesEnded && EndOneSpare(context)) {
      ++ended;
      deadline = Deadline::After(kEndsSoon);
      continue;
    }
    if (deadline.Expired()) return reserved;
    ::poll(nullptr, 0, static_cast<int>(kAskAgain.count()));
  }
}

Result<std::vector<LimitInfo>> DescribeLimits(const Context& context, std::uint64_t disk_bytes) {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context.configuration));
  PYRO_ASSIGN_OR_RETURN(const Limits limits, Resolve(context, settings));
  PYRO_ASSIGN_OR_RETURN(const state::RunningGuests running, state::CountGuests(context.state));
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context));
  PYRO_ASSIGN_OR_RETURN(const auto tasks, registry.List(InstanceKind::kTask));
  std::vector<LimitInfo> list;
  const auto add = [&](std::string_view name, std::int64_t limit, std::string_view kind,
                       std::int64_t now) {
    list.push_back(DescribeLimit(settings, name, limit, kind));
    list.back().now = now;
  };
  add(kLimitGuests, limits.guests.guests, "at_most", running.count);
  add(kLimitGuestMemory, limits.guests.guest_memory_mib, "at_most", running.memory_mib);
  add(kLimitTasks, limits.guests.tasks, "at_most", static_cast<std::int64_t>(tasks.size()));
  add(kLimitDisk, limits.disk_mib, "at_most", static_cast<std::int64_t>(disk_bytes >> 20));
  const std::uint64_t room = sys::FreeSpace(Existing(context.state)).value_or(0);
  add(kLimitFreeDisk, limits.guests.free_disk_mib, "at_least",
      static_cast<std::int64_t>(room >> 20));
  const auto memory = sys::ReadHostMemory();
  add(kLimitHostMemory, limits.guests.host_memory_mib, "at_least",
      memory ? static_cast<std::int64_t>(memory->available_mib) : 0);
  return list;
}

Result<LimitList> LocalEngine::ListLimits() {
  LimitList list;
  PYRO_ASSIGN_OR_RETURN(list.limits, DescribeLimits(context_, BytesOfEverything(context_)));
  return list;
}

}  // namespace pyro::engine
