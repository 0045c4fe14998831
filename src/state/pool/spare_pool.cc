#include "state/pool/spare_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/try.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/process_ref.h"
#include "sys/wait_for.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kMaxPoolBytes = 256 * 1024;
constexpr char kPoolFile[] = "pool.json";
constexpr char kTakenFile[] = "taken";
constexpr char kGonePoolPrefix[] = ".gone-";

std::vector<fs::path> Directories(const fs::path& parent) {
  std::vector<fs::path> list;
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(fs::symlink_status(it->path(), ignored))) list.push_back(it->path());
  }
  std::sort(list.begin(), list.end());
  return list;
}

// Renames it in one step: a process that waits for its lock then makes a new pool.
void RemoveOverPool(const fs::path& pool) {
  const fs::path gone = pool.parent_path() / (kGonePoolPrefix + pool.filename().native());
  if (std::rename(pool.c_str(), gone.c_str()) == 0) (void)sys::RemoveTree(gone);
}

}  // namespace

fs::path SparePoolsDirectory(const fs::path& state_dir) { return state_dir / "spares"; }

Result<SparePool> ReadSparePool(const fs::path& directory) {
  PYRO_ASSIGN_OR_RETURN(const std::string text,
                        sys::ReadFile(directory / kPoolFile, kMaxPoolBytes));
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxPoolBytes));
  PYRO_RETURN_IF_ERROR(GetInt(json, "format", kFormat, kFormat));
  SparePool pool;
  pool.directory = directory;
  PYRO_RETURN_IF_ERROR(ReadFields(kPoolFields, json, &pool));
  return pool;
}

Status WriteSparePool(const SparePool& pool) {
  Json json = FieldsToJson(kPoolFields, &pool);
  json["format"] = kFormat;
  if (pool.keeper.empty()) json.erase("keeper");
  return sys::WriteFileAtomically(pool.directory / kPoolFile, ToPrettyJson(json) + "\n");
}

Result<sys::UniqueFd> OpenKeeper(const SparePool& pool) {
  if (pool.keeper.empty()) return sys::UniqueFd();
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(pool.keeper, kMaxPoolBytes));
  PYRO_ASSIGN_OR_RETURN(const sys::ProcessRef keeper, sys::ProcessRef::FromJson(json));
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd process, keeper.Open());
  // One that has ended may still wait for its parent.
  if (sys::WaitFor(process.get(), POLLIN, Deadline::After(seconds(0))) != sys::Waited::kReady) {
    return process;
  }
  return MakeError(ErrorCode::kNotFound, "the process that these spares are kept for has ended");
}

std::vector<SparePool> ListSparePools(const fs::path& state_dir) {
  std::vector<SparePool> pools;
  for (const fs::path& directory : Directories(SparePoolsDirectory(state_dir))) {
    if (directory.filename().native().starts_with(kGonePoolPrefix)) continue;
    if (auto pool = ReadSparePool(directory)) pools.push_back(std::move(*pool));
  }
  return pools;
}

WallTime SparePoolExpiry(const SparePool& pool) {
  struct stat status {};
  if (::stat((pool.directory / kPoolFile).c_str(), &status) != 0) return {};
  return WallTime(milliseconds(status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1'000'000) +
                  pool.ttl);
}

void TouchSparePool(const fs::path& directory) {
  ::utimensat(AT_FDCWD, (directory / kPoolFile).c_str(), nullptr, 0);
}

std::vector<fs::path> ListSpares(const fs::path& pool) {
  std::vector<fs::path> list = Directories(pool);
  std::erase_if(list, [](const fs::path& path) {
    return !InstanceId::Parse(InstanceKind::kVm, path.filename().native());
  });
  return list;
}

InstanceId TaskOfSpare(const fs::path& spare) {
  std::string id = spare.filename().native();
  id.replace(0, IdPrefix(InstanceKind::kVm).size(), IdPrefix(InstanceKind::kTask));
  auto task = InstanceId::Parse(InstanceKind::kTask, id);
  PYRO_CHECK(task.ok());
  return std::move(*task);
}

fs::path SparePoolLock(const fs::path& pool) { return pool / "lock"; }

std::optional<milliseconds> SparesWaitFor(const fs::path& directory, WallTime now) {
  const auto pool = ReadSparePool(directory);
  if (!pool || pool->count == 0) return std::nullopt;
  const auto left = SparePoolExpiry(*pool) - now;
  if (left > milliseconds(0)) return left;
  const auto lock = sys::FileLock::TryAcquire(SparePoolLock(directory));
  if (!lock || *lock) return std::nullopt;
  return pool->ttl;
}

void MarkSpareTaken(const fs::path& spare) {
  (void)sys::OpenFile(spare / kTakenFile, O_WRONLY | O_CREAT);
}

bool SpareIsTaken(const fs::path& spare) {
  return ::access((spare / kTakenFile).c_str(), F_OK) == 0;
}

int ClearDeadSpares(const fs::path& pool) {
  int waiting = 0;
  for (const fs::path& spare : ListSpares(pool)) {
    const auto lock = sys::FileLock::TryAcquire(spare / "lock");
    // It has gone, or is a task's directory by now.
    if (!lock && lock.error().code == ErrorCode::kNotFound) continue;
    // Without an answer, such as for lack of descriptors, it may have an owner, and may become a
    // task's directory in the middle of a removal.
    if (lock && *lock) {
      (void)sys::RemoveTree(spare);
    } else if (!SpareIsTaken(spare)) {
      ++waiting;
    }
  }
  return waiting;
}

std::vector<fs::path> FindDeadSpares(const fs::path& state_dir) {
  std::vector<fs::path> dead;
  for (const fs::path& directory : Directories(SparePoolsDirectory(state_dir))) {
    if (directory.filename().native().starts_with(kGonePoolPrefix)) {
      dead.push_back(directory);
      continue;
    }
    const auto alone = sys::FileLock::TryAcquire(SparePoolLock(directory));
    if (!alone || !*alone) continue;  // It is being filled: a new spare's lock is free at first.
    for (const fs::path& spare : ListSpares(directory)) {
      const auto lock = sys::FileLock::TryAcquire(spare / "lock");
      if (lock && *lock) dead.push_back(spare);
    }
  }
  return dead;
}

void ReapSpares(const fs::path& state_dir, WallTime now) {
  for (const fs::path& directory : Directories(SparePoolsDirectory(state_dir))) {
    if (directory.filename().native().starts_with(kGonePoolPrefix)) {
      (void)sys::RemoveTree(directory);  // Left by a kill.
      continue;
    }
    const auto lock = sys::FileLock::TryAcquire(SparePoolLock(directory));
    if (!lock || !*lock) continue;
    (void)ClearDeadSpares(directory);
    if (!ListSpares(directory).empty()) continue;
    const auto pool = ReadSparePool(directory);
    const bool over = !pool || pool->count == 0 || SparePoolExpiry(*pool) <= now;
    if (over || !OpenKeeper(*pool)) RemoveOverPool(directory);
  }
}

}  // namespace pyro::state
