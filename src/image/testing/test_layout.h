// Images made by hand: blobs, manifests and indexes in a directory, and Docker archives.

#pragma once

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/test_support.h"
#include "base/json.h"
#include "image/store/digest.h"

namespace pyro::image {

inline std::string TestDigest(std::string_view bytes) {
  return fmt::format("sha256:{}", Sha256Hex(bytes));
}

inline void WriteTestFile(const std::filesystem::path& file, std::string_view bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

inline std::string ReadTestFile(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A tar with one file.
inline std::string TestTar(std::string_view name, std::string_view content) {
  return archive::TarBuilder().Add('0', name, content).Finished();
}

// An OCI layout.
class TestLayout {
 public:
  explicit TestLayout(std::filesystem::path directory) : directory_(std::move(directory)) {
    WriteTestFile(directory_ / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  static Json Entry(std::string_view bytes, std::string_view media_type) {
    return {{"mediaType", media_type}, {"digest", TestDigest(bytes)}, {"size", bytes.size()}};
  }

  // The blob's descriptor.
  Json Add(std::string_view bytes, std::string_view media_type) {
    WriteTestFile(directory_ / "blobs/sha256" / Sha256Hex(bytes), bytes);
    return Entry(bytes, media_type);
  }

  // The descriptor of an image whose layers are tars of one file each, called `a` and so on.
  Json AddImage(std::initializer_list<std::string_view> contents,
                std::string_view architecture = "amd64",
                std::string_view layer_type = "application/vnd.oci.image.layer.v1.tar+gzip") {
    Json layers = Json::array();
    Json diff_ids = Json::array();
    char name = 'a';
    for (const std::string_view content : contents) {
      const std::string tar = TestTar(std::string(1, name++), content);
      diff_ids.push_back(TestDigest(tar));
      layers.push_back(Add(archive::Compress(tar), layer_type));
    }
    const Json config = {{"architecture", architecture},
                         {"os", "linux"},
                         {"config", {{"Env", {"A=b"}}}},
                         {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
    const Json manifest = {
        {"schemaVersion", 2},
        {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
        {"config", Add(config.dump(), "application/vnd.oci.image.config.v1+json")},
        {"layers", layers}};
    return Add(manifest.dump(), "application/vnd.oci.image.manifest.v1+json");
  }

  // The descriptor of an index as a blob.
  Json AddIndex(const std::vector<Json>& entries) {
    return Add(Index(entries), "application/vnd.oci.image.index.v1+json");
  }

  void Finish(const std::vector<Json>& entries) {
    WriteTestFile(directory_ / "index.json", Index(entries));
  }

  std::string Blob(const std::string& digest) const {
    return ReadTestFile(directory_ / "blobs/sha256" / digest.substr(7));
  }

  // The layout as a tar.
  std::string Tar() const {
    archive::TarBuilder tar;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "blobs/sha256")) {
      tar.Add('0', "blobs/sha256/" + entry.path().filename().native(), ReadTestFile(entry.path()));
    }
    tar.Add('0', "./index.json", ReadTestFile(directory_ / "index.json"));
    return tar.Add('0', "oci-layout", ReadTestFile(directory_ / "oci-layout")).Finished();
  }

  const std::filesystem::path& directory() const { return directory_; }

 private:
  static std::string Index(const std::vector<Json>& entries) {
    return Json{{"schemaVersion", 2}, {"manifests", entries}}.dump();
  }

  std::filesystem::path directory_;
};

inline Json WithPlatform(Json entry, std::string_view os, std::string_view architecture,
                         std::string_view variant = {}) {
  entry["platform"] = {{"os", os}, {"architecture", architecture}};
  if (!variant.empty()) entry["platform"]["variant"] = variant;
  return entry;
}

inline Json WithName(Json entry, std::string_view name) {
  entry["annotations"]["org.opencontainers.image.ref.name"] = name;
  return entry;
}

// As `docker save` writes one: each image has one layer with a file that holds its name.
inline std::string TestDockerArchive(
    const std::vector<std::pair<std::string, std::vector<std::string>>>& images) {
  archive::TarBuilder tar;
  Json manifest = Json::array();
  for (const auto& [content, tags] : images) {
    const std::string layer = TestTar("a", content);
    const std::string config =
        Json{{"architecture", "amd64"},
             {"os", "linux"},
             {"rootfs", {{"type", "layers"}, {"diff_ids", {TestDigest(layer)}}}}}
            .dump();
    const std::string layer_name = Sha256Hex(layer) + "/layer.tar";
    const std::string config_name = Sha256Hex(config) + ".json";
    tar.Add('0', layer_name, layer).Add('0', config_name, config);
    manifest.push_back({{"Config", config_name},
                        {"RepoTags", tags.empty() ? Json() : Json(tags)},
                        {"Layers", {layer_name}}});
  }
  return tar.Add('0', "manifest.json", manifest.dump()).Finished();
}

}  // namespace pyro::image
