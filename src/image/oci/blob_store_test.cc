#include "image/oci/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "image/testing/test_layout.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class BlobStoreTest : public testing::Test {
 protected:
  Descriptor Add(std::string_view bytes) {
    Descriptor blob = Described(bytes);
    WriteTestFile(store_.PathOf(blob.digest), bytes);
    return blob;
  }

  static Descriptor Described(std::string_view bytes) {
    Descriptor blob;
    blob.digest = TestDigest(bytes);
    blob.size = bytes.size();
    return blob;
  }

  std::vector<std::string> Missing(const std::vector<Descriptor>& blobs) {
    std::vector<std::string> digests;
    const auto missing = store_.Missing(blobs, {}, {});
    EXPECT_TRUE(missing) << missing.error().message;
    for (const auto& blob : *missing) digests.push_back(blob.digest);
    return digests;
  }

  sys::TestDirectory directory_;
  fs::path root_ = directory_.path() / "cache/oci";
  BlobStore store_{root_};
};

TEST_F(BlobStoreTest, WrongBlobsAreRemovedBeforeTheyAreUsed) {
  const Descriptor good = Add("good");
  const Descriptor cut = Described("cut short");
  WriteTestFile(store_.PathOf(cut.digest), "cut");
  const Descriptor changed = Described("changed");
  WriteTestFile(store_.PathOf(changed.digest), "CHANGED");
  const Descriptor absent = Described("absent");
  EXPECT_EQ(Missing({good, cut, changed, absent, absent}),
            (std::vector<std::string>{cut.digest, changed.digest, absent.digest}));
  EXPECT_TRUE(fs::exists(store_.PathOf(good.digest)));
  EXPECT_FALSE(fs::exists(store_.PathOf(cut.digest)));
  EXPECT_FALSE(fs::exists(store_.PathOf(changed.digest)));
}

TEST_F(BlobStoreTest, ALinkSharesTheBlobsBytes) {
  const Descriptor blob = Add("layer");
  const fs::path to = directory_.path() / "blobs";
  fs::create_directories(to / "sha256");
  ASSERT_TRUE(store_.Link(blob, to));
  ASSERT_TRUE(store_.Link(blob, to)) << "a layer may occur twice";
  EXPECT_EQ(fs::hard_link_count(to / "sha256" / blob.digest.substr(7)), 2U);
  Descriptor longer = blob;
  longer.size = 99;
  EXPECT_EQ(store_.Link(longer, to).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(store_.Link(Described("none"), to).error().code, ErrorCode::kDataLoss);
}

TEST_F(BlobStoreTest, ReadComparesTheDigest) {
  const Descriptor blob = Add("text");
  EXPECT_EQ(store_.Read(blob.digest).value(), "text");
  WriteTestFile(store_.PathOf(blob.digest), "tExt");
  EXPECT_EQ(store_.Read(blob.digest).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(store_.Read(TestDigest("none")).error().code, ErrorCode::kDataLoss);
}

TEST_F(BlobStoreTest, EnteringClearsLeftoversUnlessAnotherCopies) {
  WriteTestFile(root_ / ".copy-dead/to/oci-put-blob1", "half");
  WriteTestFile(root_ / "blobs/sha256/oci-put-blob2", "half");
  {
    const auto first = store_.Enter({}, {});
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_FALSE(fs::exists(root_ / ".copy-dead"));
    EXPECT_FALSE(fs::exists(root_ / "blobs/sha256/oci-put-blob2"));
    const auto copy = store_.MakeCopyDir();
    ASSERT_TRUE(copy);
    const auto second = BlobStore(root_).Enter({}, {});
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_TRUE(fs::exists(*copy)) << "it is the first one's";
  }
  ASSERT_TRUE(store_.Enter({}, {}));
  for (const auto& entry : fs::directory_iterator(root_)) {
    EXPECT_FALSE(entry.path().filename().native().starts_with(".copy-"));
  }
}

TEST_F(BlobStoreTest, EnteringWaitsWhileAnotherPrunesAndCanBeStopped) {
  ASSERT_TRUE(sys::MakeDirectories(root_));
  const auto pruning = sys::FileLock::TryAcquire(root_ / "lock");
  ASSERT_TRUE(pruning && pruning->has_value());
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  const auto entered = store_.Enter(
      [&](const PullProgress& progress) {
        if (progress.phase == "wait") stop->write.Reset();
      },
      {stop->read.get()});
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().code, ErrorCode::kCancelled);
}

TEST_F(BlobStoreTest, PruneFreesWhatNothingNeeds) {
  EXPECT_EQ(store_.Prune({}).value(), 0U);
  const Descriptor kept = Add("kept");
  const Descriptor gone = Add(std::string(100'000, 'x'));
  WriteTestFile(root_ / ".copy-dead/archive.tar", "x");
  {
    const auto copying = store_.Enter({}, {});
    ASSERT_TRUE(copying);
    EXPECT_EQ(store_.Prune({kept.digest}).value(), 0U);
    EXPECT_TRUE(fs::exists(store_.PathOf(gone.digest)));
  }
  EXPECT_GE(store_.Prune({kept.digest}).value(), 100'000U);
  EXPECT_TRUE(fs::exists(store_.PathOf(kept.digest)));
  EXPECT_FALSE(fs::exists(store_.PathOf(gone.digest)));
  EXPECT_FALSE(fs::exists(root_ / ".copy-dead"));
}

}  // namespace
}  // namespace pyro::image
