// Pools of spares: guests that have come up already and wait for somebody to run a command in them.
//
//   spares/<name>/pool.json     what its spares are made of, and how many; its time of change is
//   the last use spares/<name>/lock          held by whoever adds or removes spares
//   spares/<name>/vm_…/         one spare: lock, control.sock, data.img, console.log; taken, once
//   it is
//
// A spare has no row: its supervisor holds its lock, and removes it in the end. Whoever holds the
// pool's lock removes what a killed supervisor has left.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro::registry {

inline constexpr int kMaxSpares = 64;  // In one pool.

struct SparePool {
  std::filesystem::path directory;  // Its name is that of the template.
  std::string environment;
  std::string environment_digest;
  int vcpu_count = 1;
  int mem_mib = 1024;
  bool network = false;
  int count = 0;                   // To be kept ready.
  std::chrono::seconds ttl{3600};  // From the last use on.
  std::filesystem::path blank;     // What a spare's disk is copied from.
  std::string guest;  // A wire::SupervisorConfig; each spare fills in id and directory.
};

std::filesystem::path SparePoolsDirectory(const std::filesystem::path& state_dir);

// kInvalidArgument and the like: pool.json is not one of this version.
Result<SparePool> ReadSparePool(const std::filesystem::path& directory);
Status WriteSparePool(const SparePool& pool);

// Every pool that can be read.
std::vector<SparePool> ListSparePools(const std::filesystem::path& state_dir);

// When it is over unless somebody takes a spare before. The epoch if the pool is gone.
WallTime SparePoolExpiry(const SparePool& pool);
// It has been used now.
void TouchSparePool(const std::filesystem::path& directory);

// The directories of spares, whoever answers for them.
std::vector<std::filesystem::path> ListSpares(const std::filesystem::path& pool);

// Held by whoever adds or removes spares.
std::filesystem::path SparePoolLock(const std::filesystem::path& pool);

// By a spare's supervisor: it has been handed out.
void MarkSpareTaken(const std::filesystem::path& spare);
bool SpareIsTaken(const std::filesystem::path& spare);

// For whoever holds the pool's lock: removes the spares that nobody answers for; returns how many
// still wait.
int ClearDeadSpares(const std::filesystem::path& pool);

// Removes dead spares of every pool, and pools that are over. Never waits, never fails.
void ReapSpares(const std::filesystem::path& state_dir, WallTime now);

}  // namespace pyro::registry
