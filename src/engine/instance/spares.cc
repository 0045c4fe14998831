#include "engine/instance/spares.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/describe.h"
#include "engine/instance/guest_process.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/templates.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "state/pool/spare_pool.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_ref.h"
#include "sys/unix_socket.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using state::SparePool;
using std::chrono::seconds;

constexpr seconds kClaimLimit{5};       // A spare that is ready answers at once.
constexpr seconds kTaskClaimLimit{30};  // It writes to the registry, for which it may wait.
constexpr seconds kSpareStopLimit{30};
constexpr seconds kFillerLimit{120};

Result<wire::SupervisorConfig> GuestConfig(const Context& context, const VmOptions& options) {
  wire::SupervisorConfig config;
  PYRO_ASSIGN_OR_RETURN(config.blank_disk, BlankDisk(context));
  config.id = InstanceId::FromBits(InstanceKind::kVm, {})
                  .str();  // Each spare fills in its own, and its directory.
  config.directory = "/";
  config.vcpu_count = static_cast<int>(options.vcpu_count);
  config.mem_mib = static_cast<int>(options.mem_mib);
  config.network = options.network;
  config.ttl = seconds(options.ttl_seconds);
  return config;
}

// The processes that a pool is for.
enum class PoolOf { kAll, kThisProcess };

Result<std::string> KeeperText(PoolOf whose) {
  if (whose == PoolOf::kAll) return std::string();
  PYRO_ASSIGN_OR_RETURN(const sys::ProcessRef self, sys::ProcessRef::Of(::getpid()));
  return ToJsonLine(self.ToJson());
}

// The directory of the spares for such guests; it may be missing. Empty: such guests have no
// spares.
fs::path PoolDirectory(const Context& context, const wire::SupervisorConfig& configured,
                       PoolOf whose) {
  if (configured.templ.key.empty()) return {};
  std::string name = NameOfKey(configured.templ.key);
  if (whose == PoolOf::kThisProcess) {
    const auto self = sys::ProcessRef::Of(::getpid());
    if (!self) return {};
    name += fmt::format("-{}-{}", self->pid, self->start_ticks);
  }
  return state::SparePoolsDirectory(context.state) / name;
}

fs::path Socket(const fs::path& spare) { return spare / "control.sock"; }

bool Waits(const fs::path& spare) {
  return !state::SpareIsTaken(spare) && sys::ConnectUnix(Socket(spare)).ok();
}

SparePoolInfo DescribePool(const SparePool& pool) {
  SparePoolInfo info;
  CopyFields(state::kPoolFields, &pool, api::Rows<SparePoolInfo>(), &info);
  if (const auto guest = wire::ParseSupervisorConfig(pool.guest)) info.machine = guest->accelerator;
  for (const fs::path& spare : state::ListSpares(pool.directory)) info.waiting += Waits(spare);
  const bool expires = pool.count > 0 && pool.keeper.empty();
  if (expires) info.expires_at = FormatTime(state::SparePoolExpiry(pool));
  return info;
}

Status CheckMemory(const Context& context, const SparePool& wanted) {
  PYRO_ASSIGN_OR_RETURN(const sys::HostMemory memory, sys::ReadHostMemory());
  std::uint64_t mib =
      static_cast<std::uint64_t>(wanted.mem_mib) * static_cast<std::uint64_t>(wanted.count);
  for (const SparePool& pool : state::ListSparePools(context.state)) {
    // A process keeps spares of one kind: its others end.
    const bool replaced = !wanted.keeper.empty() && pool.keeper == wanted.keeper;
    if (replaced || pool.directory == wanted.directory) continue;
    mib += static_cast<std::uint64_t>(pool.mem_mib) * static_cast<std::uint64_t>(pool.count);
  }
  if (mib <= memory.total_mib / 2) return OkStatus();
  return MakeError(ErrorCode::kLimit,
                   fmt::format("spares could take {} MiB, more than half of this host's {} MiB",
                               mib, memory.total_mib),
                   "keep fewer spares, or smaller ones; 'pyro warm' lists them");
}

void EndSpares(const fs::path& pool, std::int64_t keep) {
  for (const fs::path& spare : state::ListSpares(pool)) {
    if (!Waits(spare) || keep-- > 0) continue;
    if (auto link = SupervisorLink::Connect(Socket(spare))) {
      (void)link->Stop(wire::Stop{.remove = true, .only_spare = true},
                       Deadline::After(kSpareStopLimit));
    }
  }
}

// Under the pool's lock, or another process that clears old pools could remove it meanwhile.
Status WritePool(const SparePool& pool) {
  while (true) {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(pool.directory));
    const auto lock =
        sys::FileLock::Acquire(state::SparePoolLock(pool.directory), Deadline::After(kFillerLimit));
    if (!lock && lock.error().code == ErrorCode::kNotFound) continue;
    if (!lock) return lock.error();
    PYRO_RETURN_IF_ERROR(state::WriteSparePool(pool));
    EndSpares(pool.directory, pool.count);
    return OkStatus();
  }
}

Result<SparePool> PlanPool(const Context& context, const GuestParts& parts,
                           const VmOptions& options, PoolOf whose) {
  PYRO_ASSIGN_OR_RETURN(wire::SupervisorConfig guest, GuestConfig(context, options));
  PYRO_RETURN_IF_ERROR(ConfigureSupervisor(context, parts, guest));
  SparePool pool;
  pool.directory = PoolDirectory(context, guest, whose);
  PYRO_ASSIGN_OR_RETURN(pool.keeper, KeeperText(whose));
  if (pool.directory.empty()) {
    return MakeError(ErrorCode::kUnavailable, "there are no spares while PYRO_WARM_START is 0",
                     "unset PYRO_WARM_START");
  }
  pool.environment = parts.environment.name;
  pool.environment_digest = parts.environment.digest;
  pool.vcpu_count = guest.vcpu_count;
  pool.mem_mib = guest.mem_mib;
  pool.network = guest.network;
  pool.ttl = pool.keeper.empty() ? guest.ttl : seconds(kMaxTtlSeconds);
  pool.blank = guest.blank_disk;
  pool.guest = FormatSupervisorConfig(guest);
  return pool;
}

// Ends the spares of this kind, of any version of the environment. Nothing is built for that.
Result<SparePoolInfo> EndPools(const Context& context, const VmOptions& options) {
  SparePool ended;
  PYRO_ASSIGN_OR_RETURN(ended.environment, FindEnvironmentName(context, options.environment));
  ended.vcpu_count = static_cast<int>(options.vcpu_count);
  ended.mem_mib = static_cast<int>(options.mem_mib);
  ended.network = options.network;
  ended.ttl = seconds(options.ttl_seconds);
  for (SparePool pool : state::ListSparePools(context.state)) {
    if (pool.environment != ended.environment || pool.vcpu_count != ended.vcpu_count ||
        pool.mem_mib != ended.mem_mib || pool.network != ended.network || !pool.keeper.empty()) {
      continue;
    }
    const bool named = options.machine && *options.machine != MachineKind::kAuto;
    if (named && DescribePool(pool).machine != Name(*options.machine)) continue;
    pool.count = 0;
    PYRO_RETURN_IF_ERROR(WritePool(pool));
    ended.directory = pool.directory;
  }
  state::ReapSpares(context.state, context.clock.Now());
  return DescribePool(ended);
}

// The directory of pools stays when the last one has ended.
bool HasPools(const Context& context) {
  std::error_code missing;
  return !fs::is_empty(state::SparePoolsDirectory(context.state), missing) && !missing;
}

// False: the task could not be made, as on a full disk. The next spare would be lost for it, too.
// One that ends at this moment answers with another frame: kProtocol.
bool IsOfThisSpare(const Error& refusal) {
  return refusal.code == ErrorCode::kWrongState || refusal.code == ErrorCode::kGuestUnavailable ||
         refusal.code == ErrorCode::kTimedOut || refusal.code == ErrorCode::kProtocol;
}

// `claim` says what a spare is asked.
std::optional<SupervisorLink> ClaimSpare(
    const Context& context, const GuestParts& parts, const VmOptions& options, seconds limit,
    const std::function<wire::Claim(const fs::path& spare)>& claim) {
  auto config = GuestConfig(context, options);
  if (!config || !ConfigureSupervisor(context, parts, *config)) return std::nullopt;
  for (const PoolOf whose : {PoolOf::kThisProcess, PoolOf::kAll}) {
    const fs::path pool = PoolDirectory(context, *config, whose);
    if (pool.empty()) continue;
    for (const fs::path& spare : state::ListSpares(pool)) {
      if (state::SpareIsTaken(spare)) continue;
      auto link = SupervisorLink::Connect(Socket(spare));
      if (!link) continue;
      const Status claimed = link->Claim(claim(spare), Deadline::After(limit));
      if (claimed) return std::move(*link);
      if (!IsOfThisSpare(claimed.error())) return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<VmOfASpare> TakeSpare(const Context& context, const GuestParts& parts,
                                    const VmOptions& options) {
  if (!HasPools(context)) return std::nullopt;
  fs::path directory;
  auto link = ClaimSpare(context, parts, options, kClaimLimit, [&](const fs::path& spare) {
    directory = spare;
    return wire::Claim{.ttl_seconds = options.ttl_seconds};
  });
  if (!link) return std::nullopt;
  return VmOfASpare{std::move(*link), std::move(directory)};
}

std::optional<TaskOfASpare> TakeSpareForTask(const Context& context,
                                             const image::InstalledEnvironment& environment,
                                             const MachineWish& wish, const TaskOptions& options,
                                             const state::InstanceSpec& spec, const CallIo& io) {
  // Before any work that a host without spares does not need.
  const bool usual = static_cast<std::uint64_t>(options.disk_mib) << 20 == kDataDiskBytes;
  if (!usual || !HasPools(context)) return std::nullopt;
  const auto parts = PrepareParts(context, environment, wish, io);
  if (!parts) return std::nullopt;
  state::InstanceRecord task(spec);
  task.created_at = context.clock.Now();
  auto link = ClaimSpare(context, *parts, options, kTaskClaimLimit, [&](const fs::path& spare) {
    task.id = state::TaskOfSpare(spare);
    return wire::Claim{.ttl_seconds = options.ttl_seconds, .task = FormatTaskManifest(task)};
  });
  if (!link) return std::nullopt;
  image::EnvironmentStore::NoteUse(environment);
  return TaskOfASpare{std::move(task.id), std::move(*link)};
}

namespace {

// Does not wait for a process that fills one: its spare ends once it sees the pool's count.
void EndOwnPools(const Context& context, const std::string& keeper, const fs::path& except) {
  for (SparePool pool : state::ListSparePools(context.state)) {
    if (pool.keeper != keeper || pool.directory == except) continue;
    pool.count = 0;
    (void)WriteSparePool(pool);
    EndSpares(pool.directory, 0);
  }
  state::ReapSpares(context.state, context.clock.Now());
}

// A process keeps spares of one kind, of the newest version of its environment.
Status WriteOwnPool(const Context& context, const SparePool& pool) {
  EndOwnPools(context, pool.keeper, pool.directory);
  const auto before = state::ReadSparePool(pool.directory);
  const bool same = before && before->count == pool.count && before->guest == pool.guest;
  return same ? OkStatus() : WritePool(pool);
}

Result<SparePoolInfo> KeepWaiting(const Context& context, const VmOptions& options,
                                  std::int64_t count, PoolOf whose, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(options));
  if (count < 0 || count > kMaxSpares) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("count is {}", count),
                     fmt::format("choose a count from 0 to {}", kMaxSpares));
  }
  if (count == 0) return EndPools(context, options);
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context, options));
  PYRO_ASSIGN_OR_RETURN(image::InstalledEnvironment environment,
                        EnsureEnvironment(context, options.environment, io));
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts,
                        PrepareParts(context, std::move(environment), wish, io));
  image::EnvironmentStore::NoteUse(parts.environment);
  PYRO_ASSIGN_OR_RETURN(SparePool pool, PlanPool(context, parts, options, whose));
  pool.count = static_cast<int>(count);
  // Those whose time is over, or whose process has ended, take no memory.
  state::ReapSpares(context.state, context.clock.Now());
  PYRO_RETURN_IF_ERROR(CheckMemory(context, pool));
  PYRO_RETURN_IF_ERROR(CheckDisk(context));  // Also tells the filler what the limits are.
  PYRO_RETURN_IF_ERROR(MakeTemplate(context, parts, options, pool.blank, io));
  PYRO_RETURN_IF_ERROR(whose == PoolOf::kThisProcess ? WriteOwnPool(context, pool)
                                                     : WritePool(pool));
  wire::SupervisorConfig filler;
  filler.kind = wire::GuestKind::kSparePool;
  filler.state_dir = context.state;
  filler.directory = pool.directory;
  PYRO_RETURN_IF_ERROR(RunWorker(filler, "spares", pool.directory, io));
  return DescribePool(pool);
}

}  // namespace

bool EndOneSpare(const Context& context) {
  for (const SparePool& pool : state::ListSparePools(context.state)) {
    for (const fs::path& spare : state::ListSpares(pool.directory)) {
      if (state::SpareIsTaken(spare)) continue;
      auto link = SupervisorLink::Connect(Socket(spare));
      if (link && link->Stop(wire::Stop{.remove = true, .only_spare = true},
                             Deadline::After(kSpareStopLimit))) {
        return true;
      }
    }
  }
  return false;
}

Result<SparePoolInfo> LocalEngine::KeepSpares(const VmOptions& options, std::int64_t count,
                                              const CallIo& io) {
  return KeepWaiting(context_, options, count, PoolOf::kAll, io);
}

Result<SparePoolInfo> LocalEngine::KeepOwnSpares(const VmOptions& options, std::int64_t count,
                                                 const CallIo& io) {
  if (count != 0) return KeepWaiting(context_, options, count, PoolOf::kThisProcess, io);
  PYRO_ASSIGN_OR_RETURN(const std::string keeper, KeeperText(PoolOf::kThisProcess));
  EndOwnPools(context_, keeper, {});
  SparePoolInfo none;
  none.environment = options.environment;
  return none;
}

Result<std::vector<SparePoolInfo>> LocalEngine::ListSparePools() {
  state::ReapSpares(context_.state, context_.clock.Now());
  std::vector<SparePoolInfo> list;
  for (const auto& pool : state::ListSparePools(context_.state)) {
    list.push_back(DescribePool(pool));
  }
  return list;
}

}  // namespace pyro::engine
