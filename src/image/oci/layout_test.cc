#include "image/oci/layout.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/json.h"
#include "image/oci/archived_image.h"
#include "image/oci/blob_store.h"
#include "image/oci/image_index.h"
#include "image/store/digest.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class LayoutTest : public ::testing::Test {
 protected:
  fs::path Layout(const std::string& name) {
    std::ofstream(directory_.path() / "layer") << "the layer";
    const Status written =
        WriteLayout(directory_.path() / name, directory_.path() / "layer", image_);
    EXPECT_TRUE(written.ok()) << written.error().message;
    return directory_.path() / name;
  }

  Result<fs::path> Archive(const fs::path& layout, const std::string& name) {
    const fs::path file = directory_.path() / name;
    const auto fd = sys::OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC, 0644).value();
    const Status written = WriteOciArchive(layout, "my/tools:1", fd.get(), {}, {});
    if (!written) return written.error();
    return file;
  }

  static std::string ReadText(const fs::path& file) { return sys::ReadFile(file, 1 << 20).value(); }

  sys::TestDirectory directory_;
  LayoutImage image_ = {
      .config = {.architecture = "amd64",
                 .os = "linux",
                 .env = {"A=b"},
                 .user = "app",
                 .command = {"/bin/sh"}},
      .created = "2026-01-02T03:04:05.678Z",
      .history = {{"2026-01-01T00:00:00.000Z", "apt-get install make", "exited 0"},
                  {"2026-01-02T03:04:05.678Z", "pyro env commit", ""}},
      .annotations = {{"key", "value"}}};
};

TEST_F(LayoutTest, HasTheConfigurationAndTheHistory) {
  const fs::path layout = Layout("layout");
  EXPECT_FALSE(fs::exists(directory_.path() / "layer"));
  const auto index = ParseImageDocument(ReadText(layout / "index.json")).value();
  const std::string digest = ChooseEntry(index, "").value()->digest;
  const auto blob = [&](const std::string& of) {
    return ReadBlob(layout / "blobs/sha256" / of.substr(of.find(':') + 1), of).value();
  };
  const Json manifest = ParseJson(blob(digest), 1 << 20).value();
  EXPECT_EQ(manifest["annotations"]["key"], "value");
  const Json config = ParseJson(blob(manifest["config"]["digest"]), 1 << 20).value();
  EXPECT_EQ(config["architecture"], "amd64");
  EXPECT_EQ(config["config"], (Json{{"Env", {"A=b"}}, {"User", "app"}, {"Cmd", {"/bin/sh"}}}));
  EXPECT_EQ(config["rootfs"]["diff_ids"][0], "sha256:" + Sha256Hex("the layer"));
  EXPECT_EQ(manifest["layers"][0]["digest"], config["rootfs"]["diff_ids"][0]);
  EXPECT_EQ(config["history"][0]["empty_layer"], true);
  EXPECT_EQ(config["history"][0]["created_by"], "apt-get install make");
  EXPECT_FALSE(config["history"][1].contains("empty_layer"));
}

TEST_F(LayoutTest, AnArchiveHasItsNameAndItsBlobs) {
  const fs::path archive = Archive(Layout("layout"), "a.tar").value();
  const ImageSource source = {.transport = Transport::kOciArchive, .location = archive.native()};
  const auto found = LookIntoArchive(source, {}, {});
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->entry.name, "my/tools:1");
  ASSERT_TRUE(ExtractBlobs(archive, directory_.path() / "out", {}, {}).ok());
  std::size_t blobs = 0;
  for ([[maybe_unused]] const auto& blob :
       fs::directory_iterator(directory_.path() / "out/blobs/sha256")) {
    ++blobs;
  }
  EXPECT_EQ(blobs, 3u);
}

TEST_F(LayoutTest, TheSameImageMakesTheSameBytes) {
  const fs::path a = Archive(Layout("one"), "a.tar").value();
  const fs::path b = Archive(Layout("two"), "b.tar").value();
  EXPECT_EQ(ReadText(a), ReadText(b));
}

TEST_F(LayoutTest, ABlobThatWasCutShortIsRefused) {
  const fs::path layout = Layout("layout");
  fs::resize_file(layout / "blobs/sha256" / Sha256Hex("the layer"), 4);
  const auto archive = Archive(layout, "a.tar");
  ASSERT_FALSE(archive.ok());
  EXPECT_EQ(archive.error().code, ErrorCode::kDataLoss);
}

TEST_F(LayoutTest, AFullDiskIsNoSpace) {
  const fs::path layout = Layout("layout");
  const auto full = sys::OpenFile("/dev/full", O_WRONLY).value();
  const Status written = WriteOciArchive(layout, "name", full.get(), {}, {});
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, ErrorCode::kNoSpace) << written.error().message;
}

}  // namespace
}  // namespace pyro::image
