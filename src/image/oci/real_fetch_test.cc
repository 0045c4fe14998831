// With the skopeo of this host: what it does with layers of other kinds than gzip.

#include <gtest/gtest.h>

#include "image/oci/fetch.h"
#include "image/testing/test_layout.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip";

class RealFetchTest : public testing::Test {
 protected:
  FetchedImage Fetch(const std::string& source) {
    const fs::path work = directory_.path() / ("work-" + std::to_string(++works_));
    fs::create_directory(work);
    const auto fetched = fetcher_.Fetch(ParseImageSource(source).value(), {}, work, {}, {});
    EXPECT_TRUE(fetched) << fetched.error().message << " " << fetched.error().hint;
    return fetched ? *fetched : FetchedImage();
  }

  static Json ManifestOf(const FetchedImage& image) {
    const std::string bytes =
        ReadTestFile(image.layout / "blobs/sha256" / image.manifest_digest.substr(7));
    EXPECT_EQ(TestDigest(bytes), image.manifest_digest);
    return Json::parse(bytes);
  }

  // Whether each layer is there, whole, and of gzip.
  static void ExpectGzipLayers(const FetchedImage& image, std::size_t count) {
    ASSERT_EQ(image.layers.size(), count);
    const Json manifest = ManifestOf(image);
    for (const Json& layer : manifest["layers"]) {
      EXPECT_EQ(layer["mediaType"], kGzipLayer);
      const std::string digest = layer["digest"];
      const std::string bytes = ReadTestFile(image.layout / "blobs/sha256" / digest.substr(7));
      EXPECT_EQ(TestDigest(bytes), digest);
      EXPECT_TRUE(bytes.starts_with("\x1f\x8b"));
    }
  }

  sys::TestDirectory directory_;
  ImageFetcher fetcher_{directory_.path() / "cache:with:colons", ToolPaths()};
  TestLayout layout_{directory_.path() / "layout"};
  int works_ = 0;
};

TEST_F(RealFetchTest, ALayoutsImageBelowTwoIndexesIsCopiedAsItIs) {
  const Json image = layout_.AddImage({"one", "two"});
  const Json inner =
      layout_.AddIndex({WithPlatform(layout_.AddImage({"x"}, "arm64"), "linux", "arm64"),
                        WithPlatform(image, "linux", "amd64")});
  const Json outer = layout_.AddIndex({inner});
  layout_.Finish({WithName(outer, "1"), WithName(layout_.AddImage({"y"}), "2")});
  const auto fetched = Fetch("oci-layout:" + layout_.directory().native() + ":1");
  EXPECT_EQ(fetched.source_digest, outer["digest"].get<std::string>());
  EXPECT_EQ(fetched.manifest_digest, image["digest"].get<std::string>());
  ExpectGzipLayers(fetched, 2);
  const auto again = Fetch("oci-layout:" + layout_.directory().native() + ":1");
  EXPECT_EQ(again.manifest_digest, fetched.manifest_digest);
}

TEST_F(RealFetchTest, LayersOfZstdAndPlainOnesBecomeGzip) {
  const std::string zstd = archive::Compress(TestTar("a", "1"), archive::Compression::kZstd);
  const std::string plain = TestTar("b", "2");
  const Json layers = {layout_.Add(zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
                       layout_.Add(plain, "application/vnd.oci.image.layer.v1.tar")};
  const Json config = {
      {"architecture", "amd64"},
      {"os", "linux"},
      {"rootfs",
       {{"type", "layers"}, {"diff_ids", {TestDigest(TestTar("a", "1")), TestDigest(plain)}}}}};
  const Json manifest = {
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
      {"config", layout_.Add(config.dump(), "application/vnd.oci.image.config.v1+json")},
      {"layers", layers}};
  layout_.Finish({layout_.Add(manifest.dump(), "application/vnd.oci.image.manifest.v1+json")});
  const fs::path archive = directory_.path() / "zstd.tar";
  WriteTestFile(archive, layout_.Tar());
  const auto fetched = Fetch("oci-archive:" + archive.native());
  EXPECT_NE(fetched.manifest_digest, fetched.source_digest);
  ExpectGzipLayers(fetched, 2);
}

TEST_F(RealFetchTest, ADockerArchiveUnderGzipIsCopied) {
  const fs::path archive = directory_.path() / "two.tar.gz";
  WriteTestFile(archive,
                archive::Compress(TestDockerArchive({{"one", {"a:1"}}, {"two", {"b:1"}}})));
  const auto fetched = Fetch("docker-archive:" + archive.native() + ":b:1");
  ExpectGzipLayers(fetched, 1);
  EXPECT_NE(fetched.config_json.find(TestDigest(TestTar("a", "two"))), std::string::npos);
}

TEST_F(RealFetchTest, ATamperedBlobOfALayoutIsDataLoss) {
  const Json image = layout_.AddImage({"one"});
  layout_.Finish({image});
  const Json manifest = Json::parse(layout_.Blob(image["digest"]));
  const std::string digest = manifest["layers"][0]["digest"];
  std::string bytes = layout_.Blob(digest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteTestFile(layout_.directory() / "blobs/sha256" / digest.substr(7), bytes);
  const fs::path work = directory_.path() / "work";
  fs::create_directory(work);
  const auto source = ParseImageSource("oci-layout:" + layout_.directory().native()).value();
  const auto fetched = fetcher_.Fetch(source, {}, work, {}, {});
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kDataLoss) << fetched.error().message;
}

}  // namespace
}  // namespace pyro::image
