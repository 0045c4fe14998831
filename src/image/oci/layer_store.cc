#include "image/oci/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "sys/errno_error.h"
#include "sys/file_lock.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// Changes with what pyro puts into a disk.
constexpr std::string_view kForm = "pyro layers 1";
constexpr std::size_t kMaxLines = 1024;
constexpr std::size_t kMaxLineBytes = 4096;
constexpr std::string_view kDiskSuffix = ".erofs";
constexpr std::string_view kRecordSuffix = ".json";

Error BrokenRecord(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the record of a disk is broken: {}", what),
                   "pull again");
}

bool IsDigits(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<bool> IsDiskOf(const fs::path& file, const LayerDisk& disk) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenRegularFile(file, O_RDONLY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) != disk.size) return false;
  PYRO_ASSIGN_OR_RETURN(const std::string hex, Sha256OfFile(fd.get(), file));
  return hex == disk.sha256;
}

}  // namespace

std::string FormatLayerRecord(const LayerDisk& disk) {
  return ToJsonLine({{"size", disk.size}, {"sha256", disk.sha256}, {"left_out", disk.left_out}});
}

Result<LayerDisk> ParseLayerRecord(std::string_view text) {
  auto parsed = ParseJson(text, kMaxLayerRecordBytes);
  if (!parsed) return BrokenRecord(parsed.error().message);
  const Json& root = *parsed;
  if (!root.is_object() || !root.contains("size") || !root["size"].is_number_unsigned() ||
      !root.contains("sha256") || !root["sha256"].is_string() || !root.contains("left_out") ||
      !root["left_out"].is_array()) {
    return BrokenRecord("a field is missing or of the wrong type");
  }
  LayerDisk disk;
  disk.size = root["size"].get<std::uint64_t>();
  disk.sha256 = root["sha256"].get<std::string>();
  if (disk.size == 0 || !IsDigits(disk.sha256)) return BrokenRecord("its size or digest");
  const Json& lines = root["left_out"];
  if (lines.size() > kMaxLines) return BrokenRecord("it has too many lines");
  for (const Json& line : lines) {
    if (!line.is_string() || line.get_ref<const std::string&>().size() > kMaxLineBytes) {
      return BrokenRecord("a line is no short text");
    }
    disk.left_out.push_back(line.get<std::string>());
  }
  return disk;
}

std::string LayerKey(const std::vector<std::string>& layer_digests, bool is_lowest) {
  std::string text = fmt::format("{} {}\n", kForm, is_lowest ? "lowest" : "upper");
  for (const std::string& digest : layer_digests) text += digest + "\n";
  return Sha256Hex(text);
}

fs::path LayerStore::DiskPath(const std::string& key) const {
  return root_ / "layers" / (key + std::string(kDiskSuffix));
}

fs::path LayerStore::RecordPath(const std::string& key) const {
  return root_ / "layers" / (key + std::string(kRecordSuffix));
}

Result<std::optional<LayerDisk>> LayerStore::Link(const std::string& key,
                                                  const fs::path& to) const {
  const fs::path file = DiskPath(key);
  const auto text = sys::ReadFile(RecordPath(key), kMaxLayerRecordBytes);
  if (!text) return std::optional<LayerDisk>();
  auto disk = ParseLayerRecord(*text);
  const auto good = disk ? IsDiskOf(file, *disk) : Result<bool>(false);
  if (!good || !*good) {
    ::unlink(RecordPath(key).c_str());
    ::unlink(file.c_str());
    return std::optional<LayerDisk>();
  }
  // Without a link, as where a file has too many, the disk is made again.
  if (::link(file.c_str(), to.c_str()) != 0) return std::optional<LayerDisk>();
  return std::optional<LayerDisk>(std::move(*disk));
}

Status LayerStore::Add(const std::string& key, const fs::path& disk,
                       const LayerDisk& record) const {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(root_ / "layers"));
  if (::link(disk.c_str(), DiskPath(key).c_str()) != 0) {
    if (errno != EEXIST) {
      return errno == EXDEV || errno == EPERM || errno == EMLINK
                 ? OkStatus()
                 : Status(sys::ErrnoError(errno, "link", disk.native()));
    }
    // A disk without a record is one whose pull was killed.
    if (::access(RecordPath(key).c_str(), F_OK) == 0) return OkStatus();
    const fs::path fresh = FreshName(root_ / "layers", kTrashPrefix);
    if (::link(disk.c_str(), fresh.c_str()) != 0 ||
        ::rename(fresh.c_str(), DiskPath(key).c_str()) != 0) {
      return sys::ErrnoError(errno, "link", disk.native());
    }
  }
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(root_ / "layers"));
  return sys::WriteFileAtomically(RecordPath(key), FormatLayerRecord(record), 0444);
}

namespace {

// How many names a disk has, without those that a dry prune counts as gone.
std::uint64_t NamesOf(const struct stat& info, const DryPrune* dry) {
  if (dry == nullptr) return info.st_nlink;
  const auto gone = dry->names_gone.find(info.st_ino);
  return info.st_nlink - (gone == dry->names_gone.end() ? 0 : gone->second);
}

}  // namespace

Result<std::uint64_t> LayerStore::Prune(DryPrune* dry) const {
  std::uint64_t freed = 0;
  std::error_code error;
  if (!fs::exists(root_ / "layers", error)) return freed;
  PYRO_ASSIGN_OR_RETURN(const auto alone, sys::FileLock::TryAcquire(root_ / kLockName));
  if (!alone) return freed;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(root_ / "layers", error)) {
    files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    struct stat info {};
    const bool is_disk = file.extension() == kDiskSuffix;
    if (::lstat(file.c_str(), &info) != 0 || (is_disk && NamesOf(info, dry) > 1)) continue;
    if (!is_disk && file.extension() == kRecordSuffix &&
        ::lstat(fs::path(file).replace_extension(kDiskSuffix).c_str(), &info) == 0 &&
        NamesOf(info, dry) > 1) {
      continue;
    }
    if (::lstat(file.c_str(), &info) != 0) continue;
    if (dry == nullptr && ::unlink(file.c_str()) != 0) {
      return sys::ErrnoError(errno, "unlink", file.native());
    }
    if (NamesOf(info, dry) == 1) freed += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return freed;
}

}  // namespace pyro::image
