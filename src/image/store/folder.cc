#include "image/store/folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/try.h"
#include "image/store/install_paths.h"
#include "sys/files.h"
#include "sys/wait_for.h"

namespace pyro::image {

namespace fs = std::filesystem;

Error PullStopped(std::string_view name) {
  return MakeError(ErrorCode::kCancelled, fmt::format("the pull of '{}' was stopped", name),
                   "pull it again: parts that were complete are kept");
}

// flock has no wait that a descriptor could end: ask again every so often.
Result<sys::FileLock> LockFolder(const fs::path& folder, std::string_view name,
                                 const ProgressFn& progress, Cancellation cancel) {
  constexpr std::chrono::milliseconds kAskAgain(100);
  bool reported = false;
  for (;;) {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(folder));
    auto lock = sys::FileLock::TryAcquire(folder / kLockName);
    // Its last holder may just have removed the folder.
    if (!lock && lock.error().code == ErrorCode::kNotFound) continue;
    if (!lock) return std::move(lock).error();
    if (*lock) return std::move(**lock);
    if (!reported && progress)
      progress({"wait", "another pyro pulls, tags or prunes this environment", std::nullopt});
    reported = true;
    if (sys::WaitFor(cancel.fd, POLLIN, Deadline::After(kAskAgain)) == sys::Waited::kReady) {
      return PullStopped(name);
    }
  }
}

void DiscardLeftovers(const fs::path& folder, Builder& builder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kPullPrefix) || name.starts_with(kTrashPrefix)) {
      static_cast<void>(builder.Discard(entry.path()));  // Tried again by the next pull.
    }
  }
}

void RemoveIfEmpty(const fs::path& folder) {
  if (!folder.filename().native().starts_with(kImagePrefix)) return;
  std::vector<fs::path> small;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (IsVersionName(name) || name == kCurrentName || name.starts_with(kPullPrefix) ||
        name.starts_with(kTrashPrefix)) {
      return;
    }
    if (name != kLockName) small.push_back(entry.path());
  }
  for (const auto& file : small) ::unlink(file.c_str());
  // Last, because a process that waits for it takes the folder from then on.
  ::unlink((folder / kLockName).c_str());
  ::rmdir(folder.c_str());
}

std::uint64_t UnsharedBytes(const fs::path& tree, DryPrune* dry) {
  std::uint64_t total = 0;
  const auto add = [&total, dry](const fs::path& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return;
    const bool shared = !S_ISDIR(info.st_mode) && info.st_nlink > 1;
    if (shared && (dry == nullptr || ++dry->names_gone[info.st_ino] < info.st_nlink)) return;
    total += static_cast<std::uint64_t>(info.st_blocks) * 512;
  };
  add(tree);
  std::error_code error;
  for (fs::recursive_directory_iterator it(tree, error), end; !error && it != end;
       it.increment(error)) {
    add(it->path());
  }
  return total;
}

}  // namespace pyro::image
