#include "image/initramfs/initramfs.h"

#include <archive.h>
#include <archive_entry.h>

#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "image/store/install_paths.h"
#include "image/testing/fake_builder.h"
#include "image/testing/fake_image_builder.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

// Names in order, each with its content.
std::vector<std::pair<std::string, std::string>> Members(const fs::path& file) {
  std::vector<std::pair<std::string, std::string>> members;
  archive* reader = archive_read_new();
  archive_read_support_format_cpio(reader);
  EXPECT_EQ(archive_read_open_filename(reader, file.c_str(), 65536), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(reader, content.data(), content.size()),
              static_cast<la_ssize_t>(content.size()));
    members.emplace_back(archive_entry_pathname(entry), content);
  }
  archive_read_free(reader);
  return members;
}

class InitramfsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pulled = store_.Pull({.source = "debian:12"}, PullMode::kIfNeeded, {}, {});
    ASSERT_TRUE(pulled);
    environment_ = std::move(pulled->environment);
  }

  fs::path Agent(std::string_view content) {
    const fs::path path = directory_.path() / "agent";
    fs::remove(path);
    std::ofstream(path) << content;
    return path;
  }

  sys::TestDirectory directory_;
  FakeBuilder builder_;
  FakeImageBuilder images_;
  EnvironmentStore store_{directory_.path(), builder_, images_};
  InstalledEnvironment environment_;
};

TEST_F(InitramfsTest, HoldsTheAgentAndTheModulesInLoadOrder) {
  const auto path = EnsureInitramfs(environment_, Agent("agent 1"));
  ASSERT_TRUE(path) << path.error().message;
  const auto members = Members(*path);
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"dev", ""},
      {"proc", ""},
      {"sys", ""},
      {"modules", ""},
      {"dev/console", ""},
      {"dev/null", ""},
      {"modules/00-virtio.ko", "first"},
      {"modules/01-erofs.ko", "second"},
      {"init", "agent 1"}};
  EXPECT_EQ(members, expected);
}

TEST_F(InitramfsTest, IsMadeOncePerAgent) {
  const auto first = EnsureInitramfs(environment_, Agent("agent 1"));
  ASSERT_TRUE(first);
  const auto time = fs::last_write_time(*first);
  EXPECT_EQ(EnsureInitramfs(environment_, Agent("agent 1")).value(), *first);
  EXPECT_EQ(fs::last_write_time(*first), time);
  EXPECT_NE(EnsureInitramfs(environment_, Agent("agent 2")).value(), *first);
}

TEST_F(InitramfsTest, OldOnesAreRemoved) {
  fs::path last;
  for (int i = 0; i < 6; ++i) {
    const auto path = EnsureInitramfs(environment_, Agent("agent " + std::to_string(i)));
    ASSERT_TRUE(path);
    last = *path;
  }
  int count = 0;
  for (const auto& entry : fs::directory_iterator(environment_.directory.parent_path())) {
    if (entry.path().native().find(kInitramfsInfix) != std::string::npos) ++count;
  }
  EXPECT_EQ(count, 3);
  EXPECT_TRUE(fs::exists(last));
}

TEST_F(InitramfsTest, WithoutAnAgentNothingIsLeft) {
  const auto path = EnsureInitramfs(environment_, directory_.path() / "none");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, ErrorCode::kNotFound);
  fs::remove(environment_.modules[1]);
  EXPECT_FALSE(EnsureInitramfs(environment_, Agent("agent 1")));
  for (const auto& entry : fs::directory_iterator(environment_.directory.parent_path())) {
    EXPECT_FALSE(entry.path().filename().native().starts_with(kTrashPrefix)) << entry.path();
  }
}

}  // namespace
}  // namespace pyro::image
