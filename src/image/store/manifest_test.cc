#include "image/store/manifest.h"

#include <string>

#include <gtest/gtest.h>

#include "base/json.h"

namespace pyro::image {
namespace {

Manifest Sample() {
  Manifest manifest;
  manifest.environment = "debian:12";
  manifest.catalog_version = "2.1.0";
  manifest.built_at = "2026-01-31T09:00:00.000Z";
  manifest.base = {"base.erofs", 4096, std::string(64, 'a')};
  manifest.kernel = {"vmlinuz", 8192, std::string(64, 'b')};
  manifest.modules = {{"virtio_ring.ko", 10, std::string(64, 'c')},
                      {"virtio.ko", 11, std::string(64, 'd')}};
  manifest.kernel_release = "6.1.0-1-cloud-amd64";
  manifest.kernel_package = "linux-image-6.1.0-1-cloud-amd64";
  manifest.kernel_package_version = "6.1.1-1";
  manifest.packages = {{"git", "1:2.39.5-0+deb12u3", "amd64"}};
  manifest.apt_sources = {"deb http://mirror.example/debian/ bookworm main"};
  manifest.tools = {{"mmdebstrap", "1.3.5"}};
  return manifest;
}

Manifest SampleOfImage() {
  Manifest manifest = Sample();
  manifest.environment = "registry.example/team/app:1";
  manifest.packages.clear();
  manifest.apt_sources.clear();
  ImageRecord& image = manifest.image.emplace();
  image.source = "oci:registry.example/team/app:1";
  image.source_digest = "sha256:" + std::string(64, '1');
  image.manifest_digest = "sha256:" + std::string(64, '2');
  image.layers = {"sha256:" + std::string(64, '3'), "sha256:" + std::string(64, '4')};
  image.layer_bytes = 4096;
  image.config.architecture = "amd64";
  image.config.os = "linux";
  image.config.env = {"PATH=/bin"};
  image.config.user = "app";
  image.left_out = {"the device node /kvm (10:232)"};
  return manifest;
}

Json SampleJson() { return Json::parse(FormatManifest(Sample())); }

void ExpectBroken(const Json& json) {
  const auto parsed = ParseManifest(json.dump());
  ASSERT_FALSE(parsed) << json.dump();
  EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
}

TEST(Manifest, SurvivesARoundTrip) {
  const auto parsed = ParseManifest(FormatManifest(Sample()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(FormatManifest(*parsed), FormatManifest(Sample()));
  ASSERT_EQ(parsed->modules.size(), 2U);
  EXPECT_EQ(parsed->modules[0].name, "virtio_ring.ko");
  EXPECT_EQ(parsed->packages[0].version, "1:2.39.5-0+deb12u3");
}

TEST(Manifest, KeepsTheImageThatAnEnvironmentWasMadeOf) {
  EXPECT_FALSE(ParseManifest(FormatManifest(Sample()))->image);
  const auto parsed = ParseManifest(FormatManifest(SampleOfImage()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(FormatManifest(*parsed), FormatManifest(SampleOfImage()));
  ASSERT_TRUE(parsed->image);
  EXPECT_EQ(parsed->image->layers, SampleOfImage().image->layers);
  EXPECT_EQ(parsed->image->config.env, std::vector<std::string>{"PATH=/bin"});
  EXPECT_EQ(parsed->image->config.user, "app");
  EXPECT_EQ(parsed->image->left_out.size(), 1U);
}

TEST(Manifest, RefusesAnImageThatIsOutOfItsLimits) {
  const Json whole = Json::parse(FormatManifest(SampleOfImage()));
  for (const auto& [key, value] : whole["image"].items()) {
    Json json = whole;
    json["image"].erase(key);
    // Earlier manifests lack it.
    if (key != "config_digest") ExpectBroken(json);
    json = whole;
    json["image"][key] = true;
    ExpectBroken(json);
  }
  for (const char* digest : {"", "sha256:", "sha512:aa", "../../etc/passwd"}) {
    for (const char* key : {"source_digest", "manifest_digest"}) {
      Json json = whole;
      json["image"][key] = digest;
      ExpectBroken(json);
    }
    Json json = whole;
    json["image"]["layers"][1] = digest;
    ExpectBroken(json);
  }
  Json json = whole;
  json["image"]["config_digest"] = "sha256:aa";
  ExpectBroken(json);
  json = whole;
  json["image"]["left_out"] = std::vector<std::string>(257, "x");
  ExpectBroken(json);
  json = whole;
  json["image"] = "an image";
  ExpectBroken(json);
}

TEST(Manifest, KeepsACommitAndRefusesOneThatIsOutOfItsLimits) {
  Manifest manifest = SampleOfImage();
  CommitRecord& commit = manifest.commit.emplace();
  commit.task_id = "task_a";
  commit.environment = "debian:12";
  commit.workspace = true;
  commit.steps.push_back({.sequence = 7,
                          .command = "make",
                          .cwd = "/workspace",
                          .user = "app",
                          .outcome = "exited",
                          .exit_code = 2,
                          .started_at = "2026-01-31T09:00:00.000Z"});
  commit.more_steps = 3;
  const Json whole = Json::parse(FormatManifest(manifest));
  const auto parsed = ParseManifest(whole.dump());
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_TRUE(parsed->commit);
  EXPECT_EQ(parsed->commit->steps.at(0).exit_code, 2);
  EXPECT_EQ(parsed->commit->more_steps, 3u);
  EXPECT_EQ(Json::parse(FormatManifest(*parsed)), whole);
  for (const auto& [key, value] : whole["commit"].items()) {
    Json json = whole;
    json["commit"].erase(key);
    ExpectBroken(json);
  }
  Json json = whole;
  json["commit"]["steps"] = Json::array();
  for (std::size_t i = 0; i <= kMaxCommitSteps; ++i) {
    json["commit"]["steps"].push_back(whole["commit"]["steps"][0]);
  }
  ExpectBroken(json);
  json = whole;
  json["commit"]["steps"][0]["command"] = std::string(5000, 'x');
  ExpectBroken(json);
  json = whole;
  json.erase("image");
  ExpectBroken(json);
}

TEST(Manifest, RefusesFileNamesThatAreMoreThanNames) {
  for (const char* name : {"../../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", ".hidden",
                           "a\nb", "a b", "modules\\x"}) {
    Json json = SampleJson();
    json["base"]["name"] = name;
    ExpectBroken(json);
    json = SampleJson();
    json["modules"][1]["name"] = name;
    ExpectBroken(json);
  }
  Json json = SampleJson();
  json["kernel"]["name"] = std::string(129, 'a');
  ExpectBroken(json);
}

TEST(Manifest, RefusesEveryMissingField) {
  const Json whole = SampleJson();
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    if (key != "layers") ExpectBroken(json);  // An earlier pyro did not write it.
    json = whole;
    json[key] = nullptr;
    ExpectBroken(json);
  }
}

TEST(Manifest, RefusesWhatIsOutOfLimits) {
  Json json = SampleJson();
  json["schema"] = 2;
  ExpectBroken(json);
  json = SampleJson();
  json["base"]["size"] = -1;
  ExpectBroken(json);
  json = SampleJson();
  json["base"]["size"] = 18446744073709551615ULL;
  ExpectBroken(json);
  json = SampleJson();
  json["base"]["sha256"] = std::string(64, 'G');
  ExpectBroken(json);
  json = SampleJson();
  json["modules"][1] = json["modules"][0];
  ExpectBroken(json);
  json = SampleJson();
  for (int i = 0; i < 65; ++i) {
    json["modules"].push_back(
        {{"name", "m" + std::to_string(i)}, {"size", 1}, {"sha256", std::string(64, 'a')}});
  }
  ExpectBroken(json);
  json = SampleJson();
  json["kernel_release"] = std::string(5000, 'x');
  ExpectBroken(json);
}

TEST(Manifest, RefusesBytesThatAreNoManifest) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("\0\0", 2),
        std::string("null"), std::string(100000, '['), std::string(kMaxManifestBytes + 1, ' ')}) {
    const auto parsed = ParseManifest(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kDataLoss);
  }
}

TEST(Manifest, LayersAreFilesOfTheirOwn) {
  Manifest manifest = SampleOfImage();
  manifest.layers = {{"layer-1.erofs", 4096, std::string(64, '5')},
                     {"layer-2.erofs", 8192, std::string(64, '6')}};
  const auto parsed = ParseManifest(FormatManifest(manifest));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(FormatManifest(*parsed), FormatManifest(manifest));
  Json json = Json::parse(FormatManifest(manifest));
  json.erase("layers");  // As an earlier pyro wrote it.
  EXPECT_TRUE(ParseManifest(json.dump()));
  for (const char* name : {"base.erofs", "layer-2.erofs", "vmlinuz", "modules", "../layer"}) {
    json = Json::parse(FormatManifest(manifest));
    json["layers"][0]["name"] = name;
    ExpectBroken(json);
  }
  manifest.layers.clear();
  for (std::size_t layer = 0; layer <= kMaxLayerFiles; ++layer) {
    manifest.layers.push_back({"layer-" + std::to_string(layer), 1, std::string(64, '5')});
  }
  ExpectBroken(Json::parse(FormatManifest(manifest)));
}

TEST(Manifest, ContentDigestStandsForTheFilesAndTheirOrder) {
  const Manifest manifest = Sample();
  const std::string digest = ContentDigest(manifest);
  EXPECT_EQ(digest.size(), 64U);
  Manifest other = manifest;
  other.built_at = "2027-01-31T09:00:00.000Z";
  EXPECT_EQ(ContentDigest(other), digest);
  std::swap(other.modules[0], other.modules[1]);
  EXPECT_NE(ContentDigest(other), digest);
  other = manifest;
  other.base.sha256 = std::string(64, 'e');
  EXPECT_NE(ContentDigest(other), digest);
  other = manifest;
  other.layers = {{"layer-1.erofs", 1, std::string(64, 'e')}};
  const std::string stacked = ContentDigest(other);
  EXPECT_NE(stacked, digest);
  other.layers[0].sha256 = std::string(64, 'f');
  EXPECT_NE(ContentDigest(other), stacked);
}

TEST(Manifest, ImagesOfTheSameDisksDifferByTheirConfiguration) {
  Manifest image = SampleOfImage();
  const std::string of_an_earlier_pyro = ContentDigest(image);
  EXPECT_EQ(of_an_earlier_pyro, ContentDigest(Sample()));
  image.image->config_digest = "sha256:" + std::string(64, '5');
  const std::string digest = ContentDigest(image);
  EXPECT_NE(digest, of_an_earlier_pyro);
  image.image->config_digest = "sha256:" + std::string(64, '6');
  EXPECT_NE(ContentDigest(image), digest);
}

}  // namespace
}  // namespace pyro::image
