#include "image/oci/guest_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "archive/tar.h"
#include "image/oci/layer_files.h"
#include "image/testing/fake_tools.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class FakeGuest final : public BuilderGuest {
 public:
  Status answer = OkStatus();
  std::vector<std::string> loses;
  int builds = 0;
  GuestBuild last;
  std::vector<std::string> tars;

  Result<std::vector<std::string>> Build(const GuestBuild& build, const ProgressFn&,
                                         Cancellation) override {
    ++builds;
    last = build;
    if (!answer) return answer.error();
    EXPECT_TRUE(fs::exists(build.blank));
    for (const auto& layer : build.layers) {
      const sys::UniqueFd out = *sys::MakeMemoryFile("");
      if (Status sent = layer(out.get()); !sent) return std::move(sent).error();
      ::lseek(out.get(), 0, SEEK_SET);
      tars.push_back(*sys::ReadAll(out.get(), 1 << 24));
    }
    std::ofstream(build.disk) << "disk";
    return loses;
  }
};

class GuestDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    tools_.Add("mke2fs", "");
    image_.layout = directory_.path() / "layout";
    fs::create_directories(image_.layout / "blobs/sha256");
    fs::create_directories(version());
  }

  fs::path version() const { return directory_.path() / "version"; }

  void AddLayer(char digit, const std::string& name, std::size_t bytes,
                archive::Compression compression = archive::Compression::kGzip) {
    const std::string digits(64, digit);
    image_.layers.push_back("sha256:" + digits);
    const sys::UniqueFd fd =
        *sys::OpenFile(image_.layout / "blobs/sha256" / digits, O_RDWR | O_CREAT, 0600);
    const archive::Operation operation;
    archive::Meter meter(operation);
    const auto writer =
        archive::TarWriter::Create(fd.get(), meter, archive::TarWriter::Counting::kNo, compression)
            .value();
    archive::Entry entry;
    entry.name = name;
    entry.size = static_cast<std::int64_t>(bytes);
    ASSERT_TRUE(writer->Add(entry).ok());
    ASSERT_TRUE(writer->Write(std::string(bytes, 'x')).ok());
    ASSERT_TRUE(writer->Finish().ok());
  }

  Result<ImageDisks> Make(const ProgressFn& progress = {}) {
    return MakeDiskInGuest(tools_.paths(), guest_, {"debian:12-base", "12ab"}, image_,
                           directory_.path(), version(), progress, {});
  }

  sys::TestDirectory directory_;
  FakeTools tools_{directory_.path()};
  FakeGuest guest_;
  FetchedImage image_;
};

TEST_F(GuestDiskTest, AGuestGetsEachLayerAndABlankThatIsLargeEnough) {
  AddLayer('1', "low", 5'000'000);
  AddLayer('2', "high", 1000, archive::Compression::kZstd);
  AddLayer('3', "plain", 1000, archive::Compression::kNone);
  guest_.loses = {"attributes that the disk cannot hold, of /a"};
  const auto disks = Make();
  ASSERT_TRUE(disks) << disks.error().message;
  EXPECT_EQ(disks->base.name, "base.ext4");
  EXPECT_TRUE(disks->layers.empty());
  EXPECT_FALSE(disks->lacks_devices);
  EXPECT_EQ(disks->left_out, guest_.loses);
  EXPECT_EQ(guest_.last.environment.name, "debian:12-base");
  EXPECT_EQ(guest_.last.environment.digest, "12ab");
  EXPECT_EQ(guest_.last.disk, version() / "base.ext4");
  ASSERT_EQ(guest_.tars.size(), 3U);
  EXPECT_TRUE(guest_.tars[2].starts_with("plain"));
  EXPECT_TRUE(guest_.tars[0].starts_with("low"));
  EXPECT_TRUE(guest_.tars[1].starts_with("high"));
  EXPECT_GE(guest_.last.bytes, 5'000'000U);
  EXPECT_GE(fs::file_size(guest_.last.blank), guest_.last.bytes);
  EXPECT_LE(fs::file_size(guest_.last.blank), 100U << 20);
}

TEST_F(GuestDiskTest, ABrokenLayerIsNamedByItsNumberBeforeAGuestStarts) {
  AddLayer('1', "low", 10);
  image_.layers.push_back("sha256:" + std::string(64, '2'));
  std::ofstream(LayerBlob(image_, 1)) << "no tar";
  const auto failed = Make();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(failed.error().message.starts_with("layer 2 of the image cannot be unpacked: "))
      << failed.error().message;
  EXPECT_EQ(guest_.builds, 0);
}

TEST_F(GuestDiskTest, TheGuestsErrorIsTheCallers) {
  AddLayer('1', "low", 10);
  guest_.answer = MakeError(ErrorCode::kNoSpace, "full");
  EXPECT_EQ(Make().error().code, ErrorCode::kNoSpace);
}

TEST_F(GuestDiskTest, LayersReportHowFarTheyAre) {
  AddLayer('1', "low", 3'000'000);
  AddLayer('2', "high", 3'000'000);
  std::vector<std::string> phases;
  double last = 0;
  ASSERT_TRUE(Make([&](const PullProgress& news) {
    phases.push_back(news.phase + " " + news.detail);
    if (news.phase == "extract") last = news.fraction.value_or(0);
  }));
  EXPECT_EQ(phases.front(), "check layer 1 of 2");
  EXPECT_EQ(phases.back(), "extract layer 2 of 2");
  EXPECT_GT(last, 0.9);
  EXPECT_LE(last, 1.0);
}

TEST_F(GuestDiskTest, AMissingToolIsToldFirst) {
  AddLayer('1', "low", 10);
  tools_.Remove("mke2fs");
  EXPECT_EQ(Make().error().code, ErrorCode::kMissingTool);
}

}  // namespace
}  // namespace pyro::image
