#include "image/oci/fetch.h"

#include <unistd.h>

#include <optional>

#include <gtest/gtest.h>

#include "base/text.h"
#include "image/testing/fake_tools.h"
#include "image/testing/test_layout.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// `inspect` prints D/manifests/REFERENCE. `copy` runs D/copy, whose variables are FROM, SHARED and
// TO, and which may call the functions below.
constexpr std::string_view kFakeSkopeo = R"(
D=$(dirname "$0")/..
echo "$@" >> "$D/calls"
for last; do :; done
fail() { echo "time=\"x\" level=fatal msg=\"$1\"" >&2; exit 1; }
if [ "$1" = inspect ]; then
  cat "$D/manifests/${last##*/}" 2>/dev/null || fail 'reading manifest: manifest unknown'
  exit
fi
for word; do
  case $word in --dest-shared-blob-dir=*) SHARED=${word#*=}/sha256 ;; esac
done
for word; do [ "$word" = "$last" ] || FROM=$word; done
TO=${last#oci:}
TO=${TO%:image}
blob() {
  [ -e "$SHARED/$1" ] && return
  cp "$D/layout/blobs/sha256/$1" "$TO/oci-put-blob1" && mv "$TO/oci-put-blob1" "$SHARED/$1"
}
index() {
  size=$(wc -c < "$SHARED/$1")
  echo "{\"manifests\":[{\"digest\":\"sha256:$1\",\"size\":$size,\"annotations\":{
    \"org.opencontainers.image.ref.name\":\"image\"}}]}" > "$TO/index.json"
}
. "$D/copy"
)";

class FetchTest : public testing::Test {
 protected:
  FetchTest() {
    tools_.Add("skopeo", kFakeSkopeo);
    fs::create_directory(directory_.path() / "work");
    limits_.pause = std::chrono::milliseconds(1);
  }

  static std::string HexOf(const Json& entry) {
    return entry["digest"].get<std::string>().substr(7);
  }

  // What `skopeo inspect --raw docker://…/app` prints for ":1" or "@sha256:…".
  void Serve(const std::string& reference, std::string_view manifest) {
    WriteTestFile(directory_.path() / "manifests" / ("app" + reference), manifest);
  }

  // The image behind registry.example/team/app:1 and its own digest; a copy brings all of it.
  Json ServeImage() {
    const Json image = layout_.AddImage({"one", "two"});
    Serve(":1", layout_.Blob(image["digest"]));
    Serve("@" + image["digest"].get<std::string>(), layout_.Blob(image["digest"]));
    SetCopy(CopyOf(image));
    return image;
  }

  std::string CopyOf(const Json& image) const {
    const Json manifest = Json::parse(layout_.Blob(image["digest"]));
    std::string script;
    for (const Json& layer : manifest["layers"]) script += "blob " + HexOf(layer) + "\n";
    return script + "blob " + HexOf(manifest["config"]) + "\nblob " + HexOf(image) + "\nindex " +
           HexOf(image) + "\n";
  }

  void SetCopy(std::string_view script) { WriteTestFile(directory_.path() / "copy", script); }

  Result<FetchedImage> Fetch(std::string_view source = "oci:registry.example/team/app:1",
                             const ProgressFn& progress = {}, Cancellation cancel = {}) {
    const fs::path work = directory_.path() / "work" / std::to_string(++works_);
    fs::create_directory(work);
    ImageFetcher fetcher(cache_, tools_.paths(), limits_);
    return fetcher.Fetch(ParseImageSource(source).value(), options_, work, progress, cancel);
  }

  // Calls of skopeo whose words contain `words`.
  int Calls(std::string_view words) const {
    int count = 0;
    const std::string calls = ReadTestFile(directory_.path() / "calls");
    for (const auto line : Split(calls, '\n')) {
      if (line.find(words) != std::string_view::npos) ++count;
    }
    return count;
  }

  fs::path StoredBlob(const std::string& hex) const { return cache_ / "oci/blobs/sha256" / hex; }

  bool HasCopyDirectories() const {
    for (const auto& entry : fs::directory_iterator(cache_ / "oci")) {
      if (entry.path().filename().native().starts_with(".copy-")) return true;
    }
    return false;
  }

  sys::TestDirectory directory_;
  fs::path cache_ = directory_.path() / "cache";
  FakeTools tools_{directory_.path()};
  TestLayout layout_{directory_.path() / "layout"};
  FetchOptions options_;
  FetchLimits limits_;
  int works_ = 0;
};

TEST_F(FetchTest, ATagIsCopiedByTheDigestThatItHad) {
  const Json image = ServeImage();
  std::vector<std::string> phases;
  std::optional<double> fraction;
  const auto fetched = Fetch("oci:registry.example/team/app:1", [&](const PullProgress& progress) {
    if (phases.empty() || phases.back() != progress.phase) phases.push_back(progress.phase);
    fraction = progress.fraction;
  });
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(Calls("inspect --raw docker://registry.example/team/app:1"), 1);
  EXPECT_EQ(Calls("docker://registry.example/team/app@" + image["digest"].get<std::string>() +
                  " oci:to:image"),
            1);
  EXPECT_EQ(Calls("tls-verify"), 0);
  EXPECT_EQ(Calls("--dest-compress-format=gzip"), 1);
  EXPECT_EQ(fetched->source_digest, image["digest"].get<std::string>());
  EXPECT_EQ(fetched->manifest_digest, image["digest"].get<std::string>());
  EXPECT_EQ(fetched->layers.size(), 2U);
  EXPECT_GT(fetched->bytes, 0U);
  EXPECT_NE(fetched->config_json.find("amd64"), std::string::npos);
  const fs::path blob = fetched->layout / "blobs/sha256" / fetched->layers[0].substr(7);
  EXPECT_EQ(fs::hard_link_count(blob), 2U);
  EXPECT_NE(ReadTestFile(fetched->layout / "index.json").find("\"image\""), std::string::npos);
  EXPECT_TRUE(fs::exists(fetched->layout / "oci-layout"));
  EXPECT_EQ(phases, (std::vector<std::string>{"check", "download"}));
  EXPECT_EQ(fraction, 1.0);
  EXPECT_FALSE(HasCopyDirectories());
}

TEST_F(FetchTest, NestedIndexesLeadToTheImageOfThisMachine) {
  const Json image = layout_.AddImage({"one"});
  const Json inner =
      layout_.AddIndex({WithPlatform(layout_.AddImage({"two"}, "arm64"), "linux", "arm64"),
                        WithPlatform(image, "linux", "amd64")});
  const Json outer = layout_.AddIndex({inner});
  Serve(":1", layout_.Blob(outer["digest"]));
  for (const Json& one : {inner, image}) {
    Serve("@" + one["digest"].get<std::string>(), layout_.Blob(one["digest"]));
  }
  SetCopy(CopyOf(image));
  const auto fetched = Fetch();
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->source_digest, outer["digest"].get<std::string>());
  EXPECT_EQ(fetched->manifest_digest, image["digest"].get<std::string>());
  EXPECT_EQ(Calls("app@" + image["digest"].get<std::string>() + " oci:"), 1);
}

TEST_F(FetchTest, ADigestBesideATagDecides) {
  const Json image = ServeImage();
  const std::string digest = image["digest"];
  ASSERT_TRUE(Fetch("oci:registry.example/team/app:9@" + digest));
  EXPECT_EQ(Calls("app:9"), 0);
  EXPECT_EQ(Calls("inspect --raw docker://registry.example/team/app@" + digest), 1);
}

TEST_F(FetchTest, AManifestOfAnotherDigestIsRefused) {
  const std::string digest = TestDigest("what was asked for");
  Serve("@" + digest, layout_.Blob(layout_.AddImage({"one"})["digest"]));
  const auto fetched = Fetch("oci:registry.example/team/app@" + digest);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(Calls("copy"), 0);
}

TEST_F(FetchTest, BlobsAreSharedAndAWrongOneIsFetchedAgain) {
  ServeImage();
  const auto first = Fetch();
  ASSERT_TRUE(first) << first.error().message;
  const std::string good = first->layers[0].substr(7);
  const std::string bad = first->layers[1].substr(7);
  const std::string content = ReadTestFile(StoredBlob(bad));
  fs::remove(StoredBlob(bad));
  WriteTestFile(StoredBlob(bad), content.substr(0, content.size() / 2));
  const auto before = fs::last_write_time(StoredBlob(good));
  const auto second = Fetch();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(ReadTestFile(StoredBlob(bad)), content);
  EXPECT_EQ(fs::last_write_time(StoredBlob(good)), before);
  EXPECT_EQ(fs::hard_link_count(StoredBlob(good)), 3U);
}

TEST_F(FetchTest, ACutConnectionIsTriedAgainWithTheBlobsThatAreComplete) {
  const Json image = ServeImage();
  const Json manifest = Json::parse(layout_.Blob(image["digest"]));
  SetCopy(
      "blob " + HexOf(manifest["layers"][0]) +
      "\n[ -e $D/again ] || { touch $D/again; fail 'happened during read: unexpected EOF'; }\n" +
      CopyOf(image));
  std::vector<std::string> details;
  const auto fetched = Fetch("oci:registry.example/team/app:1", [&](const PullProgress& progress) {
    if (progress.detail.find("try 2 of 4") != std::string::npos) {
      details.push_back(progress.detail);
    }
  });
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(Calls("copy"), 2);
  EXPECT_EQ(details.size(), 1U);
}

TEST_F(FetchTest, AConnectionThatIsCutEachTimeIsUnavailable) {
  ServeImage();
  SetCopy("fail 'read tcp: connection reset by peer'");
  const auto fetched = Fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Calls("copy"), 4);
  EXPECT_FALSE(HasCopyDirectories());
  EXPECT_TRUE(fs::is_empty(directory_.path() / "work/1"));
}

TEST_F(FetchTest, ARegistryThatDiesIsAskedAgain) {
  const Json image = ServeImage();
  SetCopy("[ -e $D/again ] || { touch $D/again; fail 'connect: connection refused'; }\n" +
          CopyOf(image));
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(Calls("copy"), 2);
}

TEST_F(FetchTest, AStalledCopyIsStoppedAndBegunAgain) {
  const Json image = ServeImage();
  limits_.stall = std::chrono::milliseconds(300);
  limits_.retries = 1;
  SetCopy("echo half > $TO/oci-put-blob7\nexec sleep 1000");
  const auto never = Fetch();
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(never.error().message.find("has sent nothing"), std::string::npos);
  EXPECT_EQ(Calls("copy"), 2);
  limits_.stall = std::chrono::seconds(60);
  SetCopy(CopyOf(image));
  EXPECT_TRUE(Fetch());
}

TEST_F(FetchTest, ATamperedLayerIsRefusedAtOnce) {
  ServeImage();
  SetCopy("fail 'happened during read: Digest did not match, expected sha256:1, got sha256:2'");
  const auto fetched = Fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(Calls("copy"), 1);
}

TEST_F(FetchTest, AnImageForOtherMachinesIsRefusedBeforeItIsCopied) {
  const Json index =
      layout_.AddIndex({WithPlatform(layout_.AddImage({"one"}, "arm64"), "linux", "arm64", "v8")});
  Serve(":1", layout_.Blob(index["digest"]));
  const auto fetched = Fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(fetched.error().hint, "it is for linux/arm64/v8");
  EXPECT_EQ(Calls("copy"), 0);
}

TEST_F(FetchTest, WhatIsNotThereIsNotFound) {
  const auto fetched = Fetch("oci:registry.example/team/app:9");
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Calls("inspect"), 1);
}

TEST_F(FetchTest, LoginsAreGivenByFileAndPlainHttpByName) {
  ServeImage();
  options_.authfile = directory_.path() / "auth.json";
  const auto missing = Fetch();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Calls("inspect"), 0);
  WriteTestFile(options_.authfile, R"({"auths":{}})");
  options_.plain_http = true;
  ASSERT_TRUE(Fetch());
  EXPECT_EQ(Calls("--authfile=" + options_.authfile.native()), 2);
  EXPECT_EQ(Calls("inspect --raw --tls-verify=false"), 1);
  EXPECT_EQ(Calls("--src-tls-verify=false"), 1);
}

TEST_F(FetchTest, NoSkopeoIsAMissingTool) {
  tools_.Remove("skopeo");
  const auto fetched = Fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kMissingTool);
  EXPECT_EQ(fetched.error().hint, "install it: sudo apt install skopeo");
}

TEST_F(FetchTest, ACopyCanBeStopped) {
  ServeImage();
  SetCopy("echo half > $TO/oci-put-blob7\nexec sleep 1000");
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  const auto fetched = Fetch("oci:registry.example/team/app:1",
                             [&](const PullProgress& progress) {
                               if (progress.detail.starts_with("5 B")) stop->write.Reset();
                             },
                             {stop->read.get()});
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(HasCopyDirectories());
}

TEST_F(FetchTest, DockersLayerTypesAreRenamedForUmoci) {
  const Json image =
      layout_.AddImage({"one"}, "amd64", "application/vnd.docker.image.rootfs.diff.tar.gzip");
  Serve(":1", layout_.Blob(image["digest"]));
  SetCopy(CopyOf(image));
  const auto fetched = Fetch();
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->source_digest, image["digest"].get<std::string>());
  EXPECT_NE(fetched->manifest_digest, image["digest"].get<std::string>());
  const std::string manifest =
      ReadTestFile(fetched->layout / "blobs/sha256" / fetched->manifest_digest.substr(7));
  EXPECT_EQ(TestDigest(manifest), fetched->manifest_digest);
  EXPECT_EQ(manifest.find("docker"), std::string::npos);
}

TEST_F(FetchTest, OfALayoutOneImageIsCopied) {
  const Json one = layout_.AddImage({"one"});
  const Json two = layout_.AddImage({"two"});
  layout_.Finish({WithName(one, "latest"), WithName(two, "v2")});
  SetCopy("cp source/index.json $D/seen\ncat source/oci-layout >> $D/seen\n" + CopyOf(two));
  const auto fetched = Fetch("oci-layout:" + layout_.directory().native() + ":v2");
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->source_digest, two["digest"].get<std::string>());
  EXPECT_EQ(Calls("oci:source:image oci:to:image"), 1);
  const std::string seen = ReadTestFile(directory_.path() / "seen");
  EXPECT_NE(seen.find(two["digest"].get<std::string>()), std::string::npos);
  EXPECT_EQ(seen.find(one["digest"].get<std::string>()), std::string::npos);
  EXPECT_NE(seen.find("imageLayoutVersion"), std::string::npos);
}

TEST_F(FetchTest, OfAnOciArchiveTheBlobsAreExtracted) {
  const Json image = layout_.AddImage({"one"});
  layout_.Finish({image});
  const fs::path archive = directory_.path() / "app.tar.gz";
  WriteTestFile(archive, archive::Compress(layout_.Tar()));
  SetCopy("cp source/blobs/sha256/* $SHARED/\nindex " + HexOf(image));
  const auto fetched = Fetch("oci-archive:" + archive.native());
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->manifest_digest, image["digest"].get<std::string>());
}

TEST_F(FetchTest, ADockerArchiveIsDecompressedAndItsPlaceNamed) {
  const Json image = layout_.AddImage({"one"});
  const std::string tar = TestDockerArchive({{"x", {"a:1"}}, {"y", {"b:1"}}});
  const fs::path archive = directory_.path() / "two.tar.gz";
  WriteTestFile(archive, archive::Compress(tar));
  SetCopy("cp archive.tar $D/seen\n" + CopyOf(image));
  const auto fetched = Fetch("docker-archive:" + archive.native() + ":b:1");
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(Calls("docker-archive:archive.tar:@1 oci:to:image"), 1);
  EXPECT_EQ(ReadTestFile(directory_.path() / "seen"), tar);
}

TEST_F(FetchTest, ADigestOfTheSourceIsKnownWithoutACopy) {
  const Json image = ServeImage();
  ImageFetcher fetcher(cache_, tools_.paths(), limits_);
  const auto source = ParseImageSource("oci:registry.example/team/app:1").value();
  EXPECT_EQ(fetcher.SourceDigest(source, {}, {}).value(), image["digest"].get<std::string>());
  EXPECT_EQ(fetcher.OwnName(source, {}).value(), "");
  EXPECT_EQ(Calls("copy"), 0);
  EXPECT_FALSE(fs::exists(cache_));

  const fs::path archive = directory_.path() / "a.tar";
  WriteTestFile(archive, TestDockerArchive({{"x", {"a:1"}}}));
  const auto file = ParseImageSource("docker-archive:" + archive.native()).value();
  const auto digest = fetcher.SourceDigest(file, {}, {});
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(fetcher.OwnName(file, {}).value(), "a:1");
  WriteTestFile(archive, TestDockerArchive({{"another", {"b:1"}}}));
  EXPECT_NE(fetcher.SourceDigest(file, {}, {}).value(), *digest);
  EXPECT_EQ(fetcher.OwnName(file, {}).value(), "b:1");
}

}  // namespace
}  // namespace pyro::image
