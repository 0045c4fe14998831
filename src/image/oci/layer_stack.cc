#include "image/oci/layer_stack.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "image/oci/image_index.h"
#include "image/oci/layer_files.h"
#include "image/oci/layer_plan.h"
#include "image/oci/plain_layers.h"
#include "image/oci/source.h"
#include "image/oci/unpack.h"
#include "image/seal.h"
#include "image/store/build_log.h"
#include "image/store/digest.h"
#include "image/store/install_paths.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWorkers = 2;
constexpr std::uint64_t kMaxKeptBytes = 1 << 30;
constexpr std::string_view kBaseName = "base.erofs";
constexpr std::string_view kGroupTag = "group";

std::string DigitsOf(std::string_view digest) {
  return std::string(digest.substr(digest.find(':') + 1));
}

// Of the layers' tars, as the configuration lists them. Empty if it does not list one for each.
std::vector<std::string> DiffIds(const FetchedImage& image) {
  std::vector<std::string> ids;
  const auto config = ParseJson(image.config_json, kMaxImageJsonBytes);
  if (!config || !config->is_object() || !config->contains("rootfs")) return {};
  const Json& rootfs = (*config)["rootfs"];
  if (!rootfs.is_object() || !rootfs.contains("diff_ids") || !rootfs["diff_ids"].is_array()) {
    return {};
  }
  for (const Json& id : rootfs["diff_ids"]) {
    if (!id.is_string() || !IsSha256Digest(id.get_ref<const std::string&>())) return {};
    ids.push_back(id.get<std::string>());
  }
  return ids.size() == image.layers.size() ? ids : std::vector<std::string>();
}

Status WriteLayoutFile(const fs::path& file, std::string_view bytes) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd,
                        sys::OpenFile(file, O_WRONLY | O_CREAT | O_EXCL, 0644));
  return sys::WriteAll(fd.get(), bytes);
}

// Has ext4 look for a part of the disk with room for each directory that is made in this one. Near
// many files that were removed in the last minutes, as by an earlier pull, ext4 without a journal
// makes new ones ten times as slowly. Other file systems know no such wish.
void SpreadDirectories(const fs::path& directory) {
  const auto fd = sys::OpenFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  int flags = 0;
  if (!fd || ::ioctl(fd->get(), FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_TOPDIR_FL;
  static_cast<void>(::ioctl(fd->get(), FS_IOC_SETFLAGS, &flags));
}

// Makes the disk durable and read-only, and adds its size and digest to the record.
Status FinishDisk(const fs::path& file, LayerDisk& disk) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenRegularFile(file, O_RDONLY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  disk.size = static_cast<std::uint64_t>(info.st_size);
  PYRO_ASSIGN_OR_RETURN(disk.sha256, Sha256OfFile(fd.get(), file));
  if (::fchmod(fd.get(), 0444) != 0) return sys::ErrnoError(errno, "chmod", file.native());
  if (::fsync(fd.get()) != 0) return sys::ErrnoError(errno, "sync", file.native());
  return OkStatus();
}

// One group of layers on its way to a disk. A worker alone uses it until it is done.
struct Job {
  LayerGroup group;
  std::uint64_t bytes = 0;  // Compressed.
  fs::path directory;       // Of its temporary files.
  fs::path disk;            // The result.
  std::string key;
  LayerDisk record;
  Status outcome = OkStatus();
  bool needs_below = false;  // It is no disk, because it needs files of the layers below.
};

// The decompressed layers of a group, and what their names say.
struct GroupTars {
  std::vector<fs::path> files;  // The lowest first.
  std::vector<std::uint64_t> sizes;
  GroupNames names;  // Not of the lowest group.
  bool are_plain = true;
};

class StackMaker {
 public:
  StackMaker(const ToolPaths& tools, const RootNamespace& root, const FetchedImage& image,
             const LayerStore& store, const fs::path& work_dir, const ProgressFn& progress,
             Cancellation cancel)
      : tools_(tools),
        root_(root),
        image_(image),
        diff_ids_(DiffIds(image)),
        store_(store),
        work_dir_(work_dir),
        progress_(progress),
        cancel_(cancel) {
    for (const std::string& layer : image.layers) {
      std::error_code error;
      const auto size = fs::file_size(BlobPath(layer), error);
      sizes_.push_back(error ? 0 : size);
    }
    may_keep_ = std::min(kMaxKeptBytes, sys::FreeSpace(work_dir).value_or(0) / 4);
  }

  // The disks, the lowest first. An empty vector: the layers must be one disk.
  Result<std::vector<Job>> Make();

 private:
  fs::path BlobPath(const std::string& digest) const {
    return image_.layout / "blobs/sha256" / DigitsOf(digest);
  }
  Job JobFor(LayerGroup group);
  void Run(std::vector<Job>& jobs);
  void Report(bool sealing, std::size_t done, std::uint64_t bytes);
  Status Do(Job& job);
  Result<GroupTars> Decompress(const Job& job);
  Status MakeDisk(Job& job);
  bool MayKeepTree(std::uint64_t bytes);
  void NoteUnpacked();
  Result<FetchedImage> GroupLayout(const Job& job, const std::vector<std::uint64_t>& sizes);

  const ToolPaths& tools_;
  const RootNamespace& root_;
  const FetchedImage& image_;
  const std::vector<std::string> diff_ids_;
  const LayerStore& store_;
  const fs::path work_dir_;
  const ProgressFn& progress_;
  const Cancellation cancel_;
  std::vector<std::uint64_t> sizes_;
  std::size_t made_ = 0;  // Jobs so far, for names.

  // Of the jobs under way. The workers report nothing: progress is told by the caller's thread.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t unpacked_ = 0;    // Jobs that have a tree, or need none any more.
  std::uint64_t may_keep_ = 0;  // Bytes of trees that are not needed any more.
};

Job StackMaker::JobFor(LayerGroup group) {
  Job job;
  job.group = group;
  job.directory = FreshName(work_dir_, "group-");  // ext4 chooses the place by the name.
  job.disk = work_dir_ / fmt::format("group-{}.erofs", made_);
  ++made_;
  std::vector<std::string> digests;
  for (std::size_t layer = group.begin; layer < group.end; ++layer) {
    digests.push_back(image_.layers[layer]);
    job.bytes += sizes_[layer];
  }
  job.key = LayerKey(digests, group.begin == 0);
  return job;
}

// A layout with the group's layers alone, decompressed: umoci would do that more slowly.
Result<FetchedImage> StackMaker::GroupLayout(const Job& job,
                                             const std::vector<std::uint64_t>& sizes) {
  const fs::path layout = job.directory / "layout";
  const fs::path blobs = layout / "blobs/sha256";
  Json ids = Json::array();
  Json layers = Json::array();
  FetchedImage group;
  for (std::size_t layer = job.group.begin; layer < job.group.end; ++layer) {
    ids.push_back(diff_ids_[layer]);
    layers.push_back({{"mediaType", "application/vnd.oci.image.layer.v1.tar"},
                      {"digest", diff_ids_[layer]},
                      {"size", sizes[layer - job.group.begin]}});
    group.layers.push_back(diff_ids_[layer]);
  }
  const std::string config = ToJsonLine({{"architecture", "amd64"},
                                         {"os", "linux"},
                                         {"config", Json::object()},
                                         {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}});
  const std::string manifest =
      ToJsonLine({{"schemaVersion", 2},
                  {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                  {"config",
                   {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                    {"digest", "sha256:" + Sha256Hex(config)},
                    {"size", config.size()}}},
                  {"layers", layers}});
  Descriptor entry;
  entry.digest = "sha256:" + Sha256Hex(manifest);
  entry.size = manifest.size();
  PYRO_RETURN_IF_ERROR(WriteLayoutFile(blobs / Sha256Hex(config), config));
  PYRO_RETURN_IF_ERROR(WriteLayoutFile(blobs / Sha256Hex(manifest), manifest));
  PYRO_RETURN_IF_ERROR(WriteLayoutFile(layout / "index.json", FormatIndex(entry, kGroupTag)));
  PYRO_RETURN_IF_ERROR(WriteLayoutFile(layout / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  group.layout = layout;
  group.tag = kGroupTag;
  return group;
}

Result<GroupTars> StackMaker::Decompress(const Job& job) {
  const fs::path blobs = job.directory / "layout/blobs/sha256";
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(blobs));
  const bool is_lowest = job.group.begin == 0;
  GroupTars tars;
  PlainLayers plain;
  for (std::size_t layer = job.group.begin; layer < job.group.end; ++layer) {
    tars.names.BeginLayer();
    plain.BeginLayer();
    const auto add = [&](const archive::Entry& entry) {
      if (!is_lowest) tars.names.Add(entry);
      plain.Add(entry);
    };
    tars.files.push_back(blobs / DigitsOf(diff_ids_[layer]));
    const fs::path blob = BlobPath(image_.layers[layer]);
    auto tar = DecompressLayer(blob, tars.files.back(), add, cancel_);
    if (!tar && is_lowest && tar.error().code == ErrorCode::kDataLoss) {
      // umoci may read it all the same.
      tars.are_plain = false;
      tar = DecompressLayer(blob, tars.files.back(), {}, cancel_);
    }
    if (!tar) return std::move(tar).error();
    tars.sizes.push_back(tar->bytes);
    if (tar->has_globals || "sha256:" + tar->sha256 != diff_ids_[layer]) tars.are_plain = false;
  }
  tars.are_plain = tars.are_plain && plain.are();
  return tars;
}

Status StackMaker::MakeDisk(Job& job) {
  PYRO_ASSIGN_OR_RETURN(GroupTars tars, Decompress(job));
  std::optional<LayerMarks> marks;
  const fs::path marks_file = job.directory / "marks.tar";
  if (job.group.begin != 0) {
    marks = tars.names.Finish();
    job.needs_below = !marks;
    if (job.needs_below) return sys::RemoveTree(job.directory);
    if (!marks->empty()) PYRO_RETURN_IF_ERROR(WriteMarks(marks_file, *marks, tars.files, cancel_));
  }
  const auto mark = [&](const fs::path& tree) -> Status {
    NoteUnpacked();
    if (!marks || marks->empty()) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(
        const ToolRun run,
        root_.Run({"tar", "--extract", "--file", marks_file.native(), "--directory", tree.native(),
                   "--preserve-permissions", "--same-owner", "--numeric-owner",
                   "--delay-directory-restore", "--xattrs", "--xattrs-include=user.overlay.*"},
                  job.directory, {}, cancel_, {}));
    return run.status.success() ? OkStatus() : ExplainFailure("tar", run.tail);
  };
  const fs::path tree = job.directory / "rootfs";
  bool unpacked = false;
  if (tars.are_plain) {
    PYRO_ASSIGN_OR_RETURN(unpacked,
                          UnpackPlainLayers(root_, tars.files, tree, job.directory, cancel_));
  }
  if (unpacked) {
    PYRO_RETURN_IF_ERROR(mark(tree));
    PYRO_RETURN_IF_ERROR(SealTree(root_, tree, job.disk, {}, job.directory, {}, cancel_));
    std::uint64_t bytes = 0;
    for (const std::uint64_t size : tars.sizes) bytes += size;
    if (!MayKeepTree(bytes)) PYRO_RETURN_IF_ERROR(root_.RemoveTree(tree));
  } else {
    PYRO_ASSIGN_OR_RETURN(const FetchedImage group, GroupLayout(job, tars.sizes));
    PYRO_ASSIGN_OR_RETURN(SealedImage sealed, UnpackAndSeal(tools_, root_, group, job.directory,
                                                            job.disk, mark, {}, cancel_));
    job.record.left_out = std::move(sealed.left_out);
  }
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(job.directory / "layout"));
  PYRO_RETURN_IF_ERROR(FinishDisk(job.disk, job.record));
  return store_.Add(job.key, job.disk, job.record);
}

Status StackMaker::Do(Job& job) {
  PYRO_ASSIGN_OR_RETURN(auto stored, store_.Link(job.key, job.disk));
  if (!stored) return MakeDisk(job);
  job.record = std::move(*stored);
  NoteUnpacked();
  return OkStatus();
}

// Whether the work directory's owner may remove a tree of so many bytes, together with all else.
// One removal at the end is fewer programs. And ext4 without a journal makes new files slowly in
// the minutes after a removal of others.
bool StackMaker::MayKeepTree(std::uint64_t bytes) {
  const std::lock_guard<std::mutex> held(mutex_);
  if (bytes > may_keep_) return false;
  may_keep_ -= bytes;
  return true;
}

void StackMaker::NoteUnpacked() {
  const std::lock_guard<std::mutex> held(mutex_);
  ++unpacked_;
  changed_.notify_one();
}

void StackMaker::Report(bool sealing, std::size_t done, std::uint64_t bytes) {
  if (!progress_) return;
  std::uint64_t all = 0;
  for (const std::uint64_t size : sizes_) all += size;
  std::optional<double> fraction;
  if (all > 0) fraction = static_cast<double>(bytes) / static_cast<double>(all);
  progress_({sealing ? "seal" : "extract", fmt::format("{} of {} layers", done, sizes_.size()),
             fraction});
}

void StackMaker::Run(std::vector<Job>& jobs) {
  std::size_t next = 0;
  std::size_t done_layers = 0;
  std::uint64_t done_bytes = 0;
  std::size_t working = std::min(kWorkers, jobs.size());
  unpacked_ = 0;
  const auto work = [&] {
    std::unique_lock<std::mutex> held(mutex_);
    bool failed = false;
    while (!failed && next < jobs.size()) {
      Job& job = jobs[next++];
      held.unlock();
      job.outcome = Do(job);
      held.lock();
      failed = !job.outcome || job.needs_below;
      if (failed) next = jobs.size();  // Neither does the other worker begin another one.
      done_layers += job.group.end - job.group.begin;
      done_bytes += job.bytes;
      changed_.notify_one();
    }
    --working;
    changed_.notify_one();
  };
  std::vector<std::jthread> workers;
  for (std::size_t i = working; i > 0; --i) workers.emplace_back(work);
  std::unique_lock<std::mutex> held(mutex_);
  std::size_t told = 0;
  bool told_sealing = false;
  while (working > 0) {
    changed_.wait(held);
    const bool sealing = unpacked_ == jobs.size();
    if (done_layers == told && sealing == told_sealing) continue;
    told = done_layers;
    told_sealing = sealing;
    const std::uint64_t bytes = done_bytes;
    held.unlock();
    Report(told_sealing, told, bytes);
    held.lock();
  }
}

Result<std::vector<Job>> StackMaker::Make() {
  std::vector<Job> jobs;
  if (diff_ids_.empty()) return jobs;
  for (const LayerGroup& group : GroupLayers(sizes_)) jobs.push_back(JobFor(group));
  // One round more for each group that turns out to need those below it.
  for (std::size_t round = 0; round <= kMaxGroups; ++round) {
    Run(jobs);
    std::size_t merged = 0;  // Groups that become the lowest one.
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      PYRO_RETURN_IF_ERROR(jobs[i].outcome);
      if (jobs[i].needs_below) merged = i + 1;
    }
    if (merged == 0) return jobs;
    Job lowest = JobFor({0, jobs[merged - 1].group.end});
    std::vector<Job> again = {std::move(lowest)};
    for (std::size_t i = merged; i < jobs.size(); ++i) again.push_back(JobFor(jobs[i].group));
    jobs = std::move(again);
  }
  return std::vector<Job>();
}

// What a second try by another way would not change.
bool IsFinal(const Error& error) {
  return error.code == ErrorCode::kCancelled || error.code == ErrorCode::kNoSpace ||
         error.code == ErrorCode::kMissingTool || error.code == ErrorCode::kPermissionDenied;
}

std::vector<std::string> AtMost(std::vector<std::string> lines) {
  if (lines.size() <= kMaxLeftOutLines) return lines;
  const std::size_t more = lines.size() - kMaxLeftOutLines;
  lines.resize(kMaxLeftOutLines);
  lines.push_back(fmt::format("{} more kinds of files", more));
  return lines;
}

}  // namespace

Result<ImageDisks> MakeImageDisks(const ToolPaths& tools, const RootNamespace& root,
                                  const FetchedImage& image, const LayerStore& store,
                                  const fs::path& work_dir, const fs::path& version_dir,
                                  const ProgressFn& progress, Cancellation cancel) {
  for (const char* tool : {"umoci", "mkfs.erofs", "tar"}) PYRO_RETURN_IF_ERROR(tools.Find(tool));
  if (progress) progress({"extract", "", std::nullopt});
  SpreadDirectories(work_dir);
  StackMaker maker(tools, root, image, store, work_dir, progress, cancel);
  auto jobs = maker.Make();
  if (!jobs && IsFinal(jobs.error())) return std::move(jobs).error();
  ImageDisks disks;
  disks.base.name = kBaseName;
  if (!jobs || jobs->empty()) {
    // All layers at once, as umoci has them: it says best what is wrong with one.
    PYRO_ASSIGN_OR_RETURN(
        SealedImage sealed,
        UnpackAndSeal(tools, root, image, work_dir, version_dir / kBaseName, {}, progress, cancel));
    disks.left_out = std::move(sealed.left_out);
    disks.lacks_devices = LacksDevices(disks.left_out);
    return disks;
  }
  for (std::size_t i = 0; i < jobs->size(); ++i) {
    const Job& job = (*jobs)[i];
    FileRecord file = {.name = i == 0 ? std::string(kBaseName) : fmt::format("layer-{}.erofs", i),
                       .size = job.record.size,
                       .sha256 = job.record.sha256};
    if (::rename(job.disk.c_str(), (version_dir / file.name).c_str()) != 0) {
      return sys::ErrnoError(errno, "rename", job.disk.native());
    }
    disks.left_out.insert(disks.left_out.end(), job.record.left_out.begin(),
                          job.record.left_out.end());
    (i == 0 ? disks.base : disks.layers.emplace_back()) = std::move(file);
  }
  disks.lacks_devices = LacksDevices(disks.left_out);
  disks.left_out = AtMost(std::move(disks.left_out));
  return disks;
}

}  // namespace pyro::image
