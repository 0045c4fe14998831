// The part of the store that makes an image of a guest's root file system.

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/oci/image_builder.h"
#include "image/oci/layout.h"
#include "image/oci/source.h"
#include "image/store/folder.h"
#include "image/store/install.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "image/store/store.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTold = 250;  // A manifest takes few more.

// Of an environment that has no configuration: what its commands have in a guest.
ImageConfig PlainConfig() {
  ImageConfig config;
  config.architecture = "amd64";
  config.os = "linux";
  config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  config.command = {"/bin/bash"};
  return config;
}

ImageConfig ConfigOf(const InstalledEnvironment& environment) {
  return environment.manifest.image ? environment.manifest.image->config : PlainConfig();
}

bool IsConfigured(const Manifest& manifest) {
  return manifest.commit ? manifest.commit->configured : manifest.image.has_value();
}

std::map<std::string, std::string> Annotations(const std::string& created,
                                               const std::string& base_name,
                                               const std::string& base_digest) {
  return {{"org.opencontainers.image.created", created},
          {"org.opencontainers.image.base.name", base_name},
          {"org.pyro.base.digest", base_digest}};
}

std::vector<HistoryLine> StepsOf(const CommitRecord& commit) {
  std::vector<HistoryLine> history;
  for (const CommitStep& step : commit.steps) {
    const std::string end =
        step.outcome.empty() ? "running" : fmt::format("{} {}", step.outcome, step.exit_code);
    history.push_back({step.started_at, step.command, end});
  }
  if (commit.more_steps > 0) {
    history.push_back(
        {commit.committed_at, "", fmt::format("{} more commands", commit.more_steps)});
  }
  history.push_back({commit.committed_at, fmt::format("pyro env commit {}", commit.task_id),
                     fmt::format("of {} {}", commit.environment, commit.environment_digest)});
  return history;
}

Result<sys::UniqueFd> NewLayer(const fs::path& layer) {
  return sys::OpenFile(layer, O_RDWR | O_CREAT | O_EXCL, 0600);
}

// What a pull downloads is here already, and only compressed.
ProgressFn WithoutDownload(const ProgressFn& progress) {
  if (!progress) return {};
  return [&progress](PullProgress news) {
    if (news.phase == "download") news.phase = "compress";
    progress(news);
  };
}

}  // namespace

std::string CommitSource(const CommitRecord& commit) {
  return commit.task_name.empty()
             ? fmt::format("{}{}", kCommitSource, commit.task_id)
             : fmt::format("{}{} ({})", kCommitSource, commit.task_name, commit.task_id);
}

Result<InstalledEnvironment> EnvironmentStore::Commit(std::string_view name,
                                                      const InstalledEnvironment& parent,
                                                      const CommitFn& make,
                                                      const ProgressFn& progress,
                                                      Cancellation cancel) {
  PYRO_RETURN_IF_ERROR(CheckImageName(name));
  const fs::path folder = Folder(name);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock, LockFolder(folder, name, progress, cancel));
  DiscardLeftovers(folder, builder_);
  PYRO_RETURN_IF_ERROR(WriteImageName(folder, name));
  const fs::path work = FreshName(folder, kPullPrefix);
  const auto install = [&]() -> Result<InstalledEnvironment> {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(work));
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd layer, NewLayer(work / "layer"));
    PYRO_ASSIGN_OR_RETURN(CommittedTree tree, make(layer.get()));
    CommitRecord& commit = tree.record;
    commit.configured = IsConfigured(parent.manifest);
    LayoutImage image;
    image.config = ConfigOf(parent);
    image.created = commit.committed_at;
    image.history = StepsOf(commit);
    image.annotations =
        Annotations(commit.committed_at, commit.environment, commit.environment_digest);
    PYRO_RETURN_IF_ERROR(WriteLayout(work / "tree", work / "layer", image));
    const ImageSource source = {.transport = Transport::kOciLayout,
                                .location = (work / "tree").native()};
    return InstallImage(
        source, {}, std::string(name), parent, work,
        [&](Manifest& manifest) {
          manifest.image->source = CommitSource(commit);
          std::vector<std::string>& told = manifest.image->left_out;
          told.insert(told.end(), tree.left_out.begin(), tree.left_out.end());
          told.resize(std::min(told.size(), kMaxTold));
          manifest.commit = commit;
        },
        WithoutDownload(progress), cancel);
  };
  auto made = install();
  static_cast<void>(builder_.Discard(work));  // The next pull or prune tries again.
  if (made) return made;
  RemoveIfEmpty(folder);
  if (made.error().code != ErrorCode::kCancelled) return made;
  return MakeError(ErrorCode::kCancelled, fmt::format("the commit to '{}' was stopped", name));
}

Result<std::vector<std::string>> EnvironmentStore::Export(const InstalledEnvironment& environment,
                                                          const LayerFn& make, int out_fd,
                                                          const ProgressFn& progress,
                                                          Cancellation cancel) {
  const fs::path folder = Folder(environment.name);
  PYRO_ASSIGN_OR_RETURN(const sys::FileLock lock,
                        LockFolder(folder, environment.name, progress, cancel));
  DiscardLeftovers(folder, builder_);
  const fs::path work = FreshName(folder, kPullPrefix);
  std::vector<std::string> left_out;
  const auto write = [&]() -> Status {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(work));
    std::optional<fs::path> layout;
    const auto& image = environment.manifest.image;
    if (image) {
      PYRO_ASSIGN_OR_RETURN(layout, images_.KeptLayout(*image, work, progress, cancel));
    }
    if (!layout) {
      PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd layer, NewLayer(work / "layer"));
      PYRO_ASSIGN_OR_RETURN(left_out, make(layer.get()));
      LayoutImage own;
      own.config = ConfigOf(environment);
      own.created = environment.manifest.built_at;
      own.history = {{own.created, fmt::format("pyro env export {}", environment.name), ""}};
      own.annotations = Annotations(own.created, environment.name, environment.digest);
      PYRO_RETURN_IF_ERROR(WriteLayout(work / "tree", work / "layer", own));
      PYRO_RETURN_IF_ERROR(sys::MakeDirectories(work / "compressed"));
      PYRO_ASSIGN_OR_RETURN(layout, images_.CompressedLayout(work / "tree", work / "compressed",
                                                             WithoutDownload(progress), cancel));
    }
    return WriteOciArchive(*layout, environment.name, out_fd, progress, cancel);
  };
  const Status written = write();
  static_cast<void>(builder_.Discard(work));
  if (!written) return written.error();
  return left_out;
}

}  // namespace pyro::image
