#include "image/oci/image_index.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace pyro::image {
namespace {

std::string Digest(char digit) { return fmt::format("sha256:{}", std::string(64, digit)); }

Json Entry(char digit, std::string_view platform = {}, std::string_view name = {}) {
  Json entry = {{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                {"digest", Digest(digit)},
                {"size", 10}};
  if (!platform.empty()) {
    const auto slash = platform.find('/');
    const auto variant = platform.find('/', slash + 1);
    entry["platform"] = {{"os", platform.substr(0, slash)},
                         {"architecture", platform.substr(slash + 1, variant - slash - 1)}};
    if (variant != std::string_view::npos) {
      entry["platform"]["variant"] = platform.substr(variant + 1);
    }
  }
  if (!name.empty()) entry["annotations"]["org.opencontainers.image.ref.name"] = name;
  return entry;
}

ImageDocument Index(const std::vector<Json>& entries) {
  const auto document = ParseImageDocument(Json::object({{"manifests", entries}}).dump());
  EXPECT_TRUE(document) << document.error().message;
  return document ? *document : ImageDocument();
}

char Chosen(const Result<const Descriptor*>& chosen) {
  return chosen ? (*chosen)->digest.back() : '-';
}

TEST(ImageIndex, ReadsAManifest) {
  const auto manifest = ParseImageDocument(
      R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
          "digest":")" +
      Digest('a') + R"(","size":7},"layers":[{"digest":")" + Digest('b') +
      R"(","size":9,"mediaType":"x"}]})");
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_FALSE(manifest->is_index);
  EXPECT_EQ(manifest->config.digest, Digest('a'));
  ASSERT_EQ(manifest->layers.size(), 1U);
  EXPECT_EQ(manifest->layers[0].size, 9U);
  EXPECT_TRUE(CheckIsImage(*manifest));
}

TEST(ImageIndex, RefusesWhatIsNoDocumentOfAnImage) {
  const struct {
    std::string json;
    ErrorCode code;
  } cases[] = {
      {"<html>", ErrorCode::kDataLoss},
      {"[]", ErrorCode::kDataLoss},
      {"{}", ErrorCode::kDataLoss},
      {R"({"manifests":7})", ErrorCode::kDataLoss},
      {R"({"manifests":[7]})", ErrorCode::kDataLoss},
      {R"({"manifests":[{"digest":"sha256:00","size":1}]})", ErrorCode::kDataLoss},
      {R"({"manifests":[{"digest":")" + Digest('a') + R"("}]})", ErrorCode::kDataLoss},
      {R"({"manifests":[{"digest":")" + Digest('a') + R"(","size":-1}]})", ErrorCode::kDataLoss},
      {R"({"manifests":[{"digest":"sha512:00","size":1}]})", ErrorCode::kInvalidArgument},
      {R"({"schemaVersion":1,"fsLayers":[]})", ErrorCode::kInvalidArgument},
      {std::string(kMaxImageJsonBytes + 1, ' '), ErrorCode::kLimit},
  };
  for (const auto& one : cases) {
    const auto document = ParseImageDocument(one.json);
    ASSERT_FALSE(document) << one.json;
    EXPECT_EQ(document.error().code, one.code) << one.json;
  }
}

TEST(ImageIndex, AChartIsNoImage) {
  ImageDocument manifest;
  manifest.config.media_type = "application/vnd.cncf.helm.config.v1+json";
  const auto status = CheckIsImage(manifest);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find("helm"), std::string::npos);
}

TEST(ImageIndex, ChoosesTheImageOfThisMachine) {
  const auto plain = Index({Entry('1', "linux/arm64/v8"), Entry('2', "unknown/unknown"),
                            Entry('3', "windows/amd64"), Entry('4', "linux/amd64")});
  EXPECT_EQ(Chosen(ChooseImage(plain)), '4');
  const auto variants = Index({Entry('1', "linux/amd64/v3"), Entry('2', "linux/amd64")});
  EXPECT_EQ(Chosen(ChooseImage(variants)), '2');
  const auto unnamed = Index({Entry('1', "linux/arm64"), Entry('2')});
  EXPECT_EQ(Chosen(ChooseImage(unnamed)), '2');
}

TEST(ImageIndex, SaysWhichPlatformsThereAre) {
  const auto foreign = Index(
      {Entry('1', "linux/arm64/v8"), Entry('2', "windows/amd64"), Entry('3', "unknown/unknown")});
  const auto chosen = ChooseImage(foreign);
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(chosen.error().hint, "it is for linux/arm64/v8, windows/amd64");
}

TEST(ImageIndex, ChoosesAnEntryByItsName) {
  const auto index = Index({Entry('1', "", "one"), Entry('2', "", "two")});
  EXPECT_EQ(Chosen(ChooseEntry(index, "two")), '2');
  const auto which = ChooseEntry(index, "");
  ASSERT_FALSE(which);
  EXPECT_EQ(which.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(which.error().hint.find("one, two"), std::string::npos);
  const auto none = ChooseEntry(index, "three");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Chosen(ChooseEntry(Index({Entry('7')}), "")), '7');
  EXPECT_EQ(ChooseEntry(Index({}), "").error().code, ErrorCode::kNotFound);
}

TEST(ImageIndex, EntriesOfOneNameForSeveralPlatformsAreOneImage) {
  const auto index = Index({Entry('1', "linux/arm64", "one"), Entry('2', "linux/amd64", "one")});
  EXPECT_EQ(Chosen(ChooseEntry(index, "one")), '2');
  EXPECT_EQ(Chosen(ChooseEntry(index, "")), '2');
}

// Docker 25 and later: both images are called `latest`, and only the annotation tells them apart.
TEST(ImageIndex, TwoImagesOfOneTagAreTakenForNeither) {
  Json first = Entry('1', "", "latest");
  first["annotations"]["io.containerd.image.name"] = "a:latest";
  Json second = Entry('2', "", "latest");
  second["annotations"]["io.containerd.image.name"] = "b:latest";
  const auto index = Index({first, second});
  const auto chosen = ChooseEntry(index, "latest");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(chosen.error().hint.find("a:latest, b:latest"), std::string::npos);
  EXPECT_EQ(Chosen(ChooseEntry(index, "b:latest")), '2');
}

TEST(ImageIndex, DockersMediaTypesBecomeThoseOfOci) {
  const std::string docker =
      R"({"config":{"mediaType":"application/vnd.docker.container.image.v1+json"},"layers":[)"
      R"({"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"x"}]})";
  const auto changed = WithOciMediaTypes(docker);
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(changed->find("docker"), std::string::npos);
  EXPECT_NE(changed->find("application/vnd.oci.image.layer.v1.tar+gzip"), std::string::npos);
  EXPECT_NE(changed->find(R"("digest":"x")"), std::string::npos);
  const std::string oci = R"({ "layers" : [ ] })";
  EXPECT_EQ(WithOciMediaTypes(oci).value(), oci);
}

TEST(ImageIndex, AFormattedIndexIsReadBack) {
  Descriptor entry;
  entry.digest = Digest('c');
  entry.size = 12;
  const auto index = ParseImageDocument(FormatIndex(entry, "image"));
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_EQ(index->manifests.size(), 1U);
  EXPECT_EQ(index->manifests[0].digest, entry.digest);
  EXPECT_EQ(index->manifests[0].size, 12U);
  EXPECT_EQ(index->manifests[0].name, "image");
}

TEST(DockerManifest, ChoosesByTagByItsEndAndByPlace) {
  const auto images = ParseDockerManifest(
      R"([{"Config":"a.json","RepoTags":["registry.example/team/app:1","old:2"]},
          {"Config":"b.json","RepoTags":["app:latest"]},{"Config":"c.json","RepoTags":null}])");
  ASSERT_TRUE(images) << images.error().message;
  ASSERT_EQ(images->size(), 3U);
  EXPECT_EQ((*images)[0].tags.size(), 2U);
  EXPECT_EQ(ChooseDockerImage(*images, "old:2").value(), 0U);
  EXPECT_EQ(ChooseDockerImage(*images, "team/app:1").value(), 0U);
  EXPECT_EQ(ChooseDockerImage(*images, "app").value(), 1U);
  EXPECT_EQ(ChooseDockerImage(*images, "@2").value(), 2U);
  EXPECT_EQ(ChooseDockerImage(*images, "pp:1").error().code, ErrorCode::kNotFound);
  const auto which = ChooseDockerImage(*images, "");
  ASSERT_FALSE(which);
  EXPECT_EQ(which.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(which.error().message.find("3 images"), std::string::npos);
  EXPECT_NE(which.error().hint.find("@2, app:latest, old:2"), std::string::npos);
}

TEST(DockerManifest, RefusesWhatIsNone) {
  for (const char* json : {"{}", "[7]", "[{}]", "nonsense"}) {
    const auto images = ParseDockerManifest(json);
    ASSERT_FALSE(images) << json;
    EXPECT_EQ(images.error().code, ErrorCode::kDataLoss);
  }
  EXPECT_EQ(ChooseDockerImage({}, "").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pyro::image
