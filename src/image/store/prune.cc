#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "image/store/catalog.h"
#include "image/store/folder.h"
#include "image/store/install.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "image/store/store.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/file_lock.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// Prunes the folder of one environment, whose lock is held.
class FolderPruner {
 public:
  struct Order {
    PruneScope scope;
    const std::set<std::string>& in_use;
    const RetireGuard& guard;
    DryPrune* dry;             // Null: remove.
    std::set<fs::path>& gone;  // Versions that a dry run counts as removed.
  };

  FolderPruner(std::string name, fs::path folder, const Order& order, Builder& builder,
               PruneReport& report)
      : name_(std::move(name)),
        folder_(std::move(folder)),
        order_(order),
        builder_(builder),
        report_(report) {}

  Status Run() {
    const auto current = CurrentVersion(folder_);
    if (current) current_ = current->filename();
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& file : fs::directory_iterator(folder_, error))
      names.push_back(file.path().filename());
    if (error) return sys::ErrnoError(error.value(), "read", folder_.native());
    std::sort(names.begin(), names.end());
    for (const auto& name : names) PYRO_RETURN_IF_ERROR(PruneName(name));
    return OkStatus();
  }

  // Whether one of its versions is in use.
  bool AnyInUse() const {
    std::error_code error;
    for (const auto& file : fs::directory_iterator(folder_, error)) {
      const std::string name = file.path().filename();
      if (IsVersionName(name) && InUse(name, order_.in_use)) return true;
    }
    return false;
  }

 private:
  Status PruneName(const std::string& name) {
    if (name.starts_with(kPullPrefix)) return Discard(name, "interrupted pull");
    if (name.starts_with(kTrashPrefix)) return Discard(name, "leftover");
    if (IsVersionName(name)) return PruneVersion(name);
    const std::string version = name.substr(0, std::min(name.size(), kShortDigest));
    const bool is_initramfs =
        name.size() > kShortDigest && IsVersionName(version) &&
        std::string_view(name).substr(kShortDigest).starts_with(kInitramfsInfix);
    std::error_code error;
    // Versions sort before their initramfs, so a version removed a moment ago is gone here.
    const bool gone =
        !fs::exists(folder_ / version, error) || order_.gone.contains(folder_ / version);
    if (is_initramfs && gone) return Discard(name, "initramfs");
    return OkStatus();
  }

  static bool InUse(const std::string& version, const std::set<std::string>& in_use) {
    return std::any_of(in_use.begin(), in_use.end(),
                       [&](const std::string& digest) { return digest.starts_with(version); });
  }

  Status PruneVersion(const std::string& version) {
    if (InUse(version, order_.in_use)) return OkStatus();
    const bool is_current = version == current_;
    const bool broken = !LoadVersion(name_, folder_ / version);
    if (is_current && !broken && order_.scope != PruneScope::kAll) return OkStatus();
    const std::uint64_t bytes = UnsharedBytes(folder_ / version, order_.dry);
    if (order_.dry != nullptr) {
      order_.gone.insert(folder_ / version);
    } else {
      PYRO_ASSIGN_OR_RETURN(const fs::path trash, Retire(version, is_current));
      if (trash.empty()) return OkStatus();
      PYRO_RETURN_IF_ERROR(builder_.Discard(trash));
    }
    Note(broken ? "broken version" : is_current ? "version" : "superseded version", version, bytes);
    return OkStatus();
  }

  // Out of sight in one step, so that a crash leaves a leftover and never half a version. Empty: a
  // guest has begun to use it meanwhile.
  Result<fs::path> Retire(const std::string& version, bool is_current) {
    fs::path trash;
    const auto retire = [&](const std::set<std::string>& in_use) -> Status {
      if (InUse(version, in_use)) return OkStatus();
      if (is_current && ::unlink((folder_ / kCurrentName).c_str()) != 0 && errno != ENOENT) {
        return sys::ErrnoError(errno, "unlink", (folder_ / kCurrentName).native());
      }
      if (is_current) ::unlink((folder_ / kUsedName).c_str());  // The next version starts unused.
      const fs::path fresh = FreshName(folder_, kTrashPrefix);
      if (::rename((folder_ / version).c_str(), fresh.c_str()) != 0) {
        return sys::ErrnoError(errno, "rename", (folder_ / version).native());
      }
      trash = fresh;
      return OkStatus();
    };
    PYRO_RETURN_IF_ERROR(order_.guard ? order_.guard(retire) : retire(order_.in_use));
    PYRO_FAILPOINT("environment.prune.retired");
    return trash;
  }

  Status Discard(const std::string& name, std::string what) {
    const std::uint64_t bytes = UnsharedBytes(folder_ / name, order_.dry);
    if (order_.dry == nullptr) PYRO_RETURN_IF_ERROR(builder_.Discard(folder_ / name));
    Note(std::move(what), "", bytes);
    return OkStatus();
  }

  void Note(std::string what, std::string digest, std::uint64_t bytes) {
    report_.removed.push_back({name_, std::move(what), std::move(digest), bytes});
    report_.bytes_freed += bytes;
  }

  const std::string name_;
  const fs::path folder_;
  const Order order_;
  Builder& builder_;
  PruneReport& report_;
  std::string current_;
};

}  // namespace

Result<PruneReport> EnvironmentStore::Prune(PruneScope scope, const std::set<std::string>& in_use,
                                            const PruneHow& how) {
  PruneReport report;
  DryPrune counted;
  DryPrune* const dry = how.dry ? &counted : nullptr;
  std::set<fs::path> gone;
  std::vector<std::pair<std::string, fs::path>> folders;
  for (const auto& entry : Catalog()) folders.emplace_back(entry.name, Folder(entry.name));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(environments_, error)) {
    const std::string folder = entry.path().filename();
    if (!folder.starts_with(kImagePrefix)) continue;
    folders.emplace_back(ImageNameOfFolder(entry.path()).value_or(folder), entry.path());
  }
  for (const auto& [name, folder] : folders) {
    if (!fs::exists(folder, error)) continue;
    PYRO_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::TryAcquire(folder / kLockName));
    if (!lock) {
      report.skipped.push_back(name);
      continue;
    }
    FolderPruner pruner(name, folder, {scope, in_use, how.guard, dry, gone}, builder_, report);
    PYRO_RETURN_IF_ERROR(pruner.Run());
    if (!how.dry) RemoveIfEmpty(folder);
  }
  if (const std::uint64_t bytes = PruneLayers(gone, dry); bytes > 0) {
    report.removed.push_back({"", "unused layers", "", bytes});
    report.bytes_freed += bytes;
  }
  return report;
}

Result<std::uint64_t> EnvironmentStore::Remove(std::string_view name,
                                               const std::set<std::string>& in_use,
                                               const PruneHow& how) {
  PYRO_ASSIGN_OR_RETURN(const std::string exact, ResolveName(environments_, name));
  const fs::path folder = Folder(exact);
  const auto current = CurrentVersion(folder);
  if (!current && current.error().code == ErrorCode::kNotFound) return NotInstalled(exact);
  PYRO_ASSIGN_OR_RETURN(const auto lock, sys::FileLock::TryAcquire(folder / kLockName));
  if (!lock) {
    return MakeError(ErrorCode::kUnavailable,
                     fmt::format("another pyro pulls, tags or prunes the environment '{}'", exact),
                     "try again when that has ended");
  }
  PruneReport report;
  std::set<fs::path> gone;
  FolderPruner pruner(exact, folder, {PruneScope::kAll, in_use, how.guard, nullptr, gone}, builder_,
                      report);
  if (pruner.AnyInUse()) {
    return MakeError(ErrorCode::kWrongState,
                     fmt::format("tasks or VMs use the environment '{}'", exact),
                     "delete them first: 'pyro task list' and 'pyro vm list' show them");
  }
  PYRO_RETURN_IF_ERROR(pruner.Run());
  RemoveIfEmpty(folder);
  return report.bytes_freed + PruneLayers(gone, nullptr);
}

}  // namespace pyro::image
