#include "image/oci/layer_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "image/store/digest.h"
#include "sys/file_lock.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class LayerStoreTest : public testing::Test {
 protected:
  LayerDisk Add(const std::string& key, const std::string& content) {
    std::ofstream(here() / "new") << content;
    LayerDisk disk = {
        .size = content.size(), .sha256 = Sha256Hex(content), .left_out = {"a device"}};
    EXPECT_TRUE(store_.Add(key, here() / "new", disk));
    fs::remove(here() / "new");
    return disk;
  }

  bool Has(const std::string& key) {
    const auto linked = store_.Link(key, here() / "linked");
    EXPECT_TRUE(linked);
    fs::remove(here() / "linked");
    return linked && *linked;
  }

  fs::path here() const { return directory_.path(); }
  fs::path DiskOf(const std::string& key) const { return here() / "oci/layers" / (key + ".erofs"); }

  sys::TestDirectory directory_;
  const LayerStore store_{here() / "oci"};
  const std::string key_ = LayerKey({"sha256:1"}, true);
};

TEST_F(LayerStoreTest, KeysAreOfTheLayersAndOfTheirPlace) {
  EXPECT_EQ(key_, LayerKey({"sha256:1"}, true));
  EXPECT_EQ(key_.size(), 64U);
  EXPECT_NE(key_, LayerKey({"sha256:1"}, false));
  EXPECT_NE(key_, LayerKey({"sha256:1", "sha256:2"}, true));
  EXPECT_NE(LayerKey({"sha256:2", "sha256:1"}, true), LayerKey({"sha256:1", "sha256:2"}, true));
}

TEST_F(LayerStoreTest, ADiskComesBackAsTheSameFileWithItsRecord) {
  EXPECT_FALSE(Has(key_));
  const LayerDisk disk = Add(key_, "disk");
  const auto linked = store_.Link(key_, here() / "version");
  ASSERT_TRUE(linked && *linked);
  EXPECT_EQ((*linked)->sha256, disk.sha256);
  EXPECT_EQ((*linked)->left_out, disk.left_out);
  EXPECT_TRUE(fs::equivalent(here() / "version", DiskOf(key_)));
}

TEST_F(LayerStoreTest, ADiskWithOtherBytesIsNotUsedAgain) {
  Add(key_, "disk");
  std::ofstream(DiskOf(key_)) << "dusk";
  EXPECT_FALSE(Has(key_));
  EXPECT_FALSE(fs::exists(DiskOf(key_)));
  Add(key_, "disk");
  EXPECT_TRUE(Has(key_));
}

TEST_F(LayerStoreTest, ADiskOfAKilledPullIsReplaced) {
  fs::create_directories(here() / "oci/layers");
  std::ofstream(DiskOf(key_)) << "half";
  EXPECT_FALSE(Has(key_));
  std::ofstream(DiskOf(key_)) << "half";
  Add(key_, "whole");
  EXPECT_TRUE(Has(key_));
}

TEST_F(LayerStoreTest, PruneRemovesWhatNoVersionHas) {
  const std::string other = LayerKey({"sha256:2"}, true);
  Add(key_, "kept");
  Add(other, "unused");
  ASSERT_TRUE(store_.Link(key_, here() / "version").value());
  {
    const auto pull = sys::FileLock::TryAcquire(here() / "oci/lock", sys::FileLock::Mode::kShared);
    ASSERT_TRUE(pull && *pull);
    EXPECT_EQ(store_.Prune().value(), 0U);
  }
  EXPECT_GT(store_.Prune().value(), 0U);
  EXPECT_TRUE(Has(key_));
  EXPECT_FALSE(Has(other));
  fs::remove(here() / "version");
  EXPECT_GT(store_.Prune().value(), 0U);
  EXPECT_TRUE(fs::is_empty(here() / "oci/layers"));
}

TEST_F(LayerStoreTest, ADryPruneRemovesNothingAndCountsNamesThatWouldBeGone) {
  Add(key_, "kept");
  ASSERT_TRUE(store_.Link(key_, here() / "version").value());
  DryPrune dry;
  EXPECT_EQ(store_.Prune(&dry).value(), 0U);
  struct stat info {};
  ASSERT_EQ(::stat(DiskOf(key_).c_str(), &info), 0);
  dry.names_gone[info.st_ino] = 1;  // Its version goes.
  EXPECT_GT(store_.Prune(&dry).value(), 0U);
  EXPECT_TRUE(Has(key_));
}

TEST(LayerRecordTest, ARecordIsReadBackAndABrokenOneIsRefused) {
  const LayerDisk disk = {.size = 7, .sha256 = std::string(64, 'a'), .left_out = {"x", "y"}};
  const std::string text = FormatLayerRecord(disk);
  const auto back = ParseLayerRecord(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(FormatLayerRecord(*back), text);
  for (const std::string& broken :
       {std::string(), std::string("[]"), std::string("{}"), text.substr(1),
        FormatLayerRecord({.size = 0, .sha256 = disk.sha256, .left_out = {}}),
        FormatLayerRecord({.size = 7, .sha256 = "a", .left_out = {}}),
        FormatLayerRecord({.size = 7, .sha256 = disk.sha256, .left_out = {std::string(5000, 'x')}}),
        FormatLayerRecord(
            {.size = 7, .sha256 = disk.sha256, .left_out = std::vector<std::string>(2000, "x")}),
        std::string(2 << 20, ' ') + text}) {
    EXPECT_FALSE(ParseLayerRecord(broken)) << broken.substr(0, 100);
  }
}

}  // namespace
}  // namespace pyro::image
