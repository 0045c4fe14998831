// Pools of spares: guests that have started and wait for a command.
//
//   spares/<name>/pool.json   the configuration of its spares, and their number; its time of change
//                             is the last use; and the process that it is kept for, if any
//   spares/<name>/lock        held by the process that adds or removes spares
//   spares/<name>/vm_…/       one spare: lock, control.sock, data.img, console.log; and `taken`,
//                             once a client has it
//
// A spare has no row: its supervisor holds its lock, and removes it in the end. The holder of the
// pool's lock removes the leftovers of a killed supervisor.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "sys/unique_fd.h"

namespace pyro::state {

struct SparePool {
  std::filesystem::path directory;  // Its name is that of the template.
  std::string environment;
  std::string environment_digest;
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  int count = 0;                   // The number to keep ready.
  std::chrono::seconds ttl{3600};  // From the last use on.
  std::filesystem::path blank;     // The image that a spare's disk is copied from.
  std::string guest;  // A wire::SupervisorConfig; each spare fills in id and directory.
  // The process that alone takes these spares, and that they end with: a sys::ProcessRef as JSON.
  // Empty: they are for every process, and end when they are not used.
  std::string keeper;
};

inline constexpr std::int64_t kMaxPoolNumber = std::int64_t{1} << 30;

// Of pool.json.
inline constexpr Field kPoolFields[] = {
    Row<SparePool, &SparePool::environment>("environment"),
    Row<SparePool, &SparePool::environment_digest>("environment_digest").To(256),
    Row<SparePool, &SparePool::vcpu_count>("vcpu_count").From(1).To(kMaxPoolNumber),
    Row<SparePool, &SparePool::mem_mib>("mem_mib").From(1).To(kMaxPoolNumber),
    Row<SparePool, &SparePool::network>("network"),
    Row<SparePool, &SparePool::count>("count").To(kMaxSpares),
    Row<SparePool, &SparePool::ttl>("ttl_seconds").From(1).To(kMaxPoolNumber),
    Row<SparePool, &SparePool::blank>("blank"),
    Row<SparePool, &SparePool::guest>("guest").To(64 * 1024),
    Row<SparePool, &SparePool::keeper>("keeper").To(512).MayLack(),
};

std::filesystem::path SparePoolsDirectory(const std::filesystem::path& state_dir);

// kInvalidArgument, for example: pool.json is not of this version.
Result<SparePool> ReadSparePool(const std::filesystem::path& directory);
Status WriteSparePool(const SparePool& pool);

// A pidfd of the pool's keeper, or an invalid descriptor if it has none. kNotFound: it has ended.
Result<sys::UniqueFd> OpenKeeper(const SparePool& pool);

// Every pool that can be read.
std::vector<SparePool> ListSparePools(const std::filesystem::path& state_dir);

// The time of its end unless a client takes a spare before. The epoch if the pool is gone.
WallTime SparePoolExpiry(const SparePool& pool);
// Records a use now.
void TouchSparePool(const std::filesystem::path& directory);

// The directories of spares, with or without an owner.
std::vector<std::filesystem::path> ListSpares(const std::filesystem::path& pool);

// The id of the task that a spare becomes: its own, with the other prefix, so that names which the
// guest has of it stay right.
InstanceId TaskOfSpare(const std::filesystem::path& spare);

// Held by the process that adds or removes spares.
std::filesystem::path SparePoolLock(const std::filesystem::path& pool);

// How much longer a spare of the pool waits; nullopt: no longer. The pool's time begins when it is
// full: while its lock is held, none of its spares is over.
std::optional<std::chrono::milliseconds> SparesWaitFor(const std::filesystem::path& pool,
                                                       WallTime now);

// By a spare's supervisor: it has been handed out.
void MarkSpareTaken(const std::filesystem::path& spare);
bool SpareIsTaken(const std::filesystem::path& spare);

// For the holder of the pool's lock: removes the spares without an owner; returns the number that
// still waits.
int ClearDeadSpares(const std::filesystem::path& pool);

// The directories of spares that ReapSpares() would remove, and of pools that are half removed.
std::vector<std::filesystem::path> FindDeadSpares(const std::filesystem::path& state_dir);

// Removes dead spares of every pool, and pools that are over. Never waits, never fails.
void ReapSpares(const std::filesystem::path& state_dir, WallTime now);

}  // namespace pyro::state
