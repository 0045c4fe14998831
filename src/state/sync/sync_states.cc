#include "state/sync/sync_states.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kHead = "pyro-sync 1";
constexpr const char* kSyncLock = ".lock";
constexpr std::size_t kChecksumBytes = 17;  // 16 digits and a newline.
constexpr std::size_t kWords = 10;          // Of an entry.

Error BrokenState() {
  return MakeError(ErrorCode::kDataLoss, "the state of the last sync is broken");
}

std::string ChecksumOf(std::string_view text) { return fmt::format("{:016x}\n", Crc64(text)); }

// Up to the next NUL, which is taken too.
std::optional<std::string_view> TakePart(std::string_view& text) {
  const std::size_t end = text.find('\0');
  if (end == text.npos) return std::nullopt;
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

template <typename T>
bool TakeNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsRelative(std::string_view path) {
  for (const std::string_view name : Split(path, '/')) {
    if (name.empty() || name == "." || name == "..") return false;
  }
  return true;
}

bool ParseEntry(std::string_view text, SyncedEntry& entry) {
  const auto words = Split(text, ' ');
  if (words.size() != kWords || words[0].size() != 1) return false;
  entry.type = words[0][0];
  const bool known = std::string_view("fdl").find(entry.type) != std::string_view::npos;
  return known && TakeNumber(words[1], entry.mode) && entry.mode >= 0 && entry.mode <= 0777 &&
         TakeNumber(words[2], entry.size) && entry.size >= 0 &&
         TakeNumber(words[3], entry.digest) && TakeNumber(words[4], entry.host.inode) &&
         TakeNumber(words[5], entry.host.mtime) && TakeNumber(words[6], entry.host.ctime) &&
         TakeNumber(words[7], entry.guest.inode) && TakeNumber(words[8], entry.guest.mtime) &&
         TakeNumber(words[9], entry.guest.ctime);
}

}  // namespace

std::string SyncStateText(const SyncPair& pair, const SyncState& state) {
  const auto add = [](std::string& text, std::string_view part) {
    text += part;
    text += '\0';
  };
  std::string text;
  add(text, kHead);
  add(text, fmt::format("{}", state.synced_at.time_since_epoch().count()));
  add(text, pair.host);
  add(text, pair.guest);
  for (const auto& [path, one] : state.tree) {
    add(text, fmt::format("{} {} {} {} {} {} {} {} {} {}", one.type, one.mode, one.size, one.digest,
                          one.host.inode, one.host.mtime, one.host.ctime, one.guest.inode,
                          one.guest.mtime, one.guest.ctime));
    add(text, path);
    add(text, one.target);
  }
  return text + ChecksumOf(text);
}

Result<std::optional<SyncState>> ParseSyncState(const SyncPair& pair, std::string_view text) {
  if (text.size() < kChecksumBytes) return BrokenState();
  const std::string_view checksum = text.substr(text.size() - kChecksumBytes);
  text.remove_suffix(kChecksumBytes);
  if (checksum != ChecksumOf(text)) return BrokenState();
  const auto head = TakePart(text);
  const auto time = TakePart(text);
  const auto host = TakePart(text);
  const auto guest = TakePart(text);
  WallTime::rep at = 0;
  if (!guest || head != kHead || !TakeNumber(*time, at)) return BrokenState();
  if (*host != pair.host || *guest != pair.guest) return std::optional<SyncState>();
  SyncState state;
  state.synced_at = WallTime(WallTime::duration(at));
  while (!text.empty()) {
    const auto words = TakePart(text);
    const auto path = TakePart(text);
    const auto target = TakePart(text);
    SyncedEntry entry;
    if (!target || !ParseEntry(*words, entry) || !IsRelative(*path)) return BrokenState();
    entry.target = *target;
    if (state.tree.size() >= kMaxSynced) return BrokenState();
    state.tree.insert_or_assign(std::string(*path), std::move(entry));
  }
  return std::optional<SyncState>(std::move(state));
}

Result<SyncStates> SyncStates::Begin(const fs::path& task_dir, Deadline deadline) {
  fs::path directory = task_dir / "sync";
  // Not its parents: a task that is removed meanwhile does not come back.
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return sys::ErrnoError(errno, "create directory", directory.native());
  }
  PYRO_ASSIGN_OR_RETURN(sys::FileLock lock,
                        sys::FileLock::Acquire(directory / kSyncLock, deadline));
  SyncStates states(std::move(directory), std::move(lock));
  states.RemoveHalfWritten();
  return states;
}

fs::path SyncStates::FileOf(const SyncPair& pair) const {
  return directory_ / fmt::format("{:016x}", Crc64(pair.host + '\0' + pair.guest));
}

Result<std::optional<SyncState>> SyncStates::Read(const SyncPair& pair) const {
  auto text = sys::ReadFile(FileOf(pair), kMaxSyncStateBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<SyncState>();
  // Larger than any that is written. The next one takes its place.
  if (!text && text.error().code == ErrorCode::kLimit) return BrokenState();
  if (!text) return std::move(text).error();
  return ParseSyncState(pair, *text);
}

Status SyncStates::Write(const SyncPair& pair, const SyncState& state) const {
  const std::string text = SyncStateText(pair, state);
  if (state.tree.size() > kMaxSynced || text.size() > kMaxSyncStateBytes) {
    return MakeError(ErrorCode::kLimit, "there are too many files for the state of a sync",
                     "leave some out with exclude or an ignore file, or sync directories in it "
                     "each by itself");
  }
  const fs::path file = FileOf(pair);
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) MakeRoom();
  return sys::WriteFileAtomically(file, text);
}

// What a killed process has left.
void SyncStates::RemoveHalfWritten() const {
  std::error_code error;
  for (const fs::path& file : Files()) {
    if (file.filename().native().find('.') != std::string::npos) fs::remove(file, error);
  }
}

std::vector<fs::path> SyncStates::Files() const {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename() != kSyncLock) files.push_back(it->path());
  }
  return files;
}

// For one more.
void SyncStates::MakeRoom() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;
  for (fs::path& file : Files()) {
    const fs::file_time_type time = fs::last_write_time(file, error);
    files.emplace_back(time, std::move(file));
  }
  std::sort(files.begin(), files.end());
  for (std::size_t i = 0; i + kMaxSyncStates <= files.size(); ++i)
    fs::remove(files[i].second, error);
}

}  // namespace pyro::state
