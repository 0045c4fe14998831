// An ImageBuilder that makes a tiny file at once, or does what a test asks for.

#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/oci/image_builder.h"

namespace pyro::image {

class FakeImageBuilder final : public ImageBuilder {
 public:
  std::string content = "image 1";          // Another content makes another version.
  std::vector<std::string> layer_contents;  // Of the disks on the base.
  std::string own_name;                     // Of an archive.
  std::string source_digest = "sha256:" + std::string(64, '1');
  std::vector<std::string> layers = {"sha256:" + std::string(64, '3')};
  ImageConfig config = {.architecture = "amd64", .os = "linux"};
  std::vector<std::string> left_out;
  Status answer = OkStatus();  // Of the source, as long as it is asked.
  std::function<Status(const std::filesystem::path& work_dir)> before_files;

  int asked = 0;
  int builds = 0;
  FetchOptions options;  // Of the last build.
  std::set<std::string> kept;
  std::uint64_t prunable = 0;

  Result<std::string> OwnName(const ImageSource&, Cancellation) override { return own_name; }

  Result<std::string> SourceDigest(const ImageSource&, const FetchOptions&, Cancellation) override {
    ++asked;
    if (!answer) return answer.error();
    return source_digest;
  }

  Result<BuiltImage> Build(const ImageSource& source, const FetchOptions& given,
                           const GuestEnvironment&, const std::filesystem::path& work_dir,
                           const std::filesystem::path& version_dir, const ProgressFn& progress,
                           Cancellation) override {
    ++builds;
    options = given;
    if (!answer) return answer.error();
    if (progress) progress({"download", "", 0.5});
    std::ofstream(work_dir / "scratch") << "scratch";
    if (before_files) {
      if (Status status = before_files(work_dir); !status) return std::move(status).error();
    }
    BuiltImage built;
    built.base.name = "base.erofs";
    std::ofstream(version_dir / built.base.name) << content;
    for (std::size_t layer = 0; layer < layer_contents.size(); ++layer) {
      built.layers.push_back({.name = "layer-" + std::to_string(layer + 1) + ".erofs"});
      std::ofstream(version_dir / built.layers.back().name) << layer_contents[layer];
    }
    built.record = {.source = FormatImageSource(source),
                    .source_digest = source.digest.empty() ? source_digest : source.digest,
                    .manifest_digest = "sha256:" + std::string(64, '2'),
                    .layers = layers,
                    .layer_bytes = 4096,
                    .config = config,
                    .left_out = left_out};
    built.tools = {{"umoci", "0.4.7"}};
    return built;
  }

  std::optional<std::filesystem::path> kept_layout;

  Result<std::optional<std::filesystem::path>> KeptLayout(const ImageRecord&,
                                                          const std::filesystem::path&,
                                                          const ProgressFn&,
                                                          Cancellation) override {
    return kept_layout;
  }

  Result<std::filesystem::path> CompressedLayout(const std::filesystem::path& layout,
                                                 const std::filesystem::path&, const ProgressFn&,
                                                 Cancellation) override {
    return layout;
  }

  Result<std::uint64_t> PruneBlobs(const std::set<std::string>& kept_digests,
                                   DryPrune* /*dry*/) override {
    kept = kept_digests;
    return prunable;
  }
};

}  // namespace pyro::image
