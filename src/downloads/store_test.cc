#include "downloads/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "downloads/testing/fake_source.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::downloads {
namespace {

namespace fs = std::filesystem;

class DownloadStoreTest : public ::testing::Test {
 protected:
  DownloadStoreTest() { EXPECT_TRUE(store_.Prepare().ok()); }

  StoreOptions Options(std::uint64_t max_bytes = 16 << 20) {
    return {.root = root_,
            .max_bytes = max_bytes,
            .clock = &clock_,
            .report = [this](const Report& report) { lines_.push_back(report.line); }};
  }

  static EntryKey KeyOf(std::string_view name) {
    return {.url = fmt::format("https://registry.example/{}", name), .accept = "*/*"};
  }

  void Put(Store& store, std::string_view name, std::string_view bytes) {
    auto content = store.NewDownload();
    ASSERT_TRUE(content.ok()) << content.error().message;
    ASSERT_TRUE(content->Append(bytes).ok());
    const auto stored = content->Commit(
        {.key = KeyOf(name), .sha256 = {}, .fetched_at = clock_.now, .checked_at = clock_.now});
    ASSERT_TRUE(stored.ok()) << stored.error().message;
  }

  // Empty: it is not there.
  std::string Get(Store& store, std::string_view name) {
    auto found = store.Find(KeyOf(name));
    EXPECT_TRUE(found.ok());
    if (!found || !*found) return {};
    return *sys::ReadAll((*found)->content.get(), 4 << 20);
  }

  std::vector<fs::path> FilesIn(std::string_view folder) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
      if (!entry.is_directory()) files.push_back(entry.path());
    }
    return files;
  }

  sys::TestDirectory directory_;
  const fs::path root_ = directory_.path() / "downloads";
  testing::SetClock clock_;
  std::vector<std::string> lines_;
  Store store_{Options()};
};

TEST_F(DownloadStoreTest, GivesBackWhatItGot) {
  EXPECT_EQ(Get(store_, "a"), "");
  Put(store_, "a", "alpha");
  EXPECT_EQ(Get(store_, "a"), "alpha");
  Store other(Options());
  EXPECT_EQ(Get(other, "a"), "alpha");
  EXPECT_TRUE(lines_.empty());
  EXPECT_TRUE(FilesIn("partial").empty());
}

TEST_F(DownloadStoreTest, OneContentIsThereOnce) {
  Put(store_, "a", "same");
  Put(store_, "b", "same");
  EXPECT_EQ(FilesIn("content").size(), 1U);
  EXPECT_EQ(FilesIn("index").size(), 2U);
  Put(store_, "a", "other");
  EXPECT_EQ(Get(store_, "a"), "other");
  EXPECT_EQ(Get(store_, "b"), "same");
}

TEST_F(DownloadStoreTest, AChangedContentIsRefusedRemovedAndTold) {
  Put(store_, "a", "alpha");
  const fs::path file = FilesIn("content").at(0);
  ASSERT_TRUE(sys::WriteFileAtomically(file, "ALPHA").ok());
  EXPECT_EQ(Get(store_, "a"), "");
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_NE(lines_[0].find("https://registry.example/a"), std::string::npos);
  EXPECT_FALSE(fs::exists(file));
  EXPECT_TRUE(FilesIn("index").empty());
  Put(store_, "a", "alpha");
  EXPECT_EQ(Get(store_, "a"), "alpha");
}

TEST_F(DownloadStoreTest, AContentOfAnotherLengthOrTypeIsRefused) {
  Put(store_, "a", "alpha");
  const fs::path file = FilesIn("content").at(0);
  ASSERT_EQ(::truncate(file.c_str(), 3), 0);
  EXPECT_EQ(Get(store_, "a"), "");
  Put(store_, "a", "alpha");
  fs::remove(file);
  fs::create_symlink("/etc/passwd", file);
  EXPECT_EQ(Get(store_, "a"), "");
  Put(store_, "a", "alpha");
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_EQ(Get(store_, "a"), "");
  Put(store_, "a", "alpha");
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(Get(store_, "a"), "");
  EXPECT_EQ(lines_.size(), 4U);
}

TEST_F(DownloadStoreTest, AnEntryOfAnotherUrlOrOfRubbishIsRefused) {
  Put(store_, "a", "alpha");
  const fs::path a = FilesIn("index").at(0);
  const std::string text = *sys::ReadFile(a, kMaxEntryBytes);
  Put(store_, "b", "beta");
  fs::path b;
  for (const fs::path& file : FilesIn("index")) {
    if (file != a) b = file;
  }
  ASSERT_TRUE(sys::WriteFileAtomically(b, text).ok());
  EXPECT_EQ(Get(store_, "b"), "");
  EXPECT_FALSE(fs::exists(b));
  ASSERT_TRUE(sys::WriteFileAtomically(a, text.substr(0, text.size() / 2)).ok());
  EXPECT_EQ(Get(store_, "a"), "");
  EXPECT_EQ(lines_.size(), 2U);
}

TEST_F(DownloadStoreTest, AContentThatMadeRoomIsNoDamage) {
  Put(store_, "a", "alpha");
  fs::remove(FilesIn("content").at(0));
  EXPECT_EQ(Get(store_, "a"), "");
  EXPECT_TRUE(lines_.empty());
}

TEST_F(DownloadStoreTest, WhatIsNotCommittedLeavesNothing) {
  {
    auto content = store_.NewDownload();
    ASSERT_TRUE(content->Append("half").ok());
    EXPECT_EQ(FilesIn("partial").size(), 1U);
  }
  EXPECT_TRUE(FilesIn("partial").empty());
}

TEST_F(DownloadStoreTest, LeftoversOfAKilledDownloadGoUnlessOneIsUnderWay) {
  const fs::path leftover = root_ / "partial" / "1-aa";
  ASSERT_TRUE(sys::WriteFileAtomically(leftover, "half").ok());
  {
    auto content = store_.NewDownload();
    EXPECT_TRUE(Store(Options()).Prepare().ok());
    EXPECT_TRUE(fs::exists(leftover));
  }
  EXPECT_TRUE(Store(Options()).Prepare().ok());
  EXPECT_FALSE(fs::exists(leftover));
}

TEST_F(DownloadStoreTest, AKillLeavesNothingHalfMade) {
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(60);
      for (int i = 0;; ++i) Put(store_, fmt::format("{}", i % 50), std::string(3000 + i, 'x'));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + round));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ASSERT_TRUE(store_.Prepare().ok());
    EXPECT_TRUE(FilesIn("partial").empty());
    for (int i = 0; i < 50; ++i) Get(store_, fmt::format("{}", i));
    EXPECT_TRUE(lines_.empty()) << lines_.at(0);
  }
  EXPECT_FALSE(FilesIn("index").empty());
}

TEST_F(DownloadStoreTest, OneFetchesAUrlAtATime) {
  const auto now = Deadline::After(std::chrono::milliseconds(0));
  auto first = store_.LockFetch(KeyOf("a"), now);
  ASSERT_TRUE(first.ok() && *first);
  Store other(Options());
  EXPECT_FALSE(*other.LockFetch(KeyOf("a"), now));
  EXPECT_TRUE(*other.LockFetch(KeyOf("b"), now));
  std::thread ends([&] { first = std::nullopt; });
  EXPECT_TRUE(*other.LockFetch(KeyOf("a"), Deadline::After(std::chrono::seconds(20))));
  ends.join();
}

TEST_F(DownloadStoreTest, TrimRemovesWhatWasNotUsedForLongest) {
  Store store(Options(100 * 1024));
  for (int i = 0; i < 4; ++i) {
    clock_.now += std::chrono::hours(1);
    Put(store, fmt::format("{}", i), std::string(20 * 1024, static_cast<char>('a' + i)));
    // The time of a file is that of the machine; its use notes that of the clock.
    ASSERT_NE(Get(store, fmt::format("{}", i)), "");
  }
  clock_.now += std::chrono::hours(1);
  ASSERT_NE(Get(store, "0"), "");
  Put(store, "4", std::string(30 * 1024, 'x'));
  ASSERT_TRUE(store.Trim().ok());
  EXPECT_LE(store.BytesStored(), 100U * 1024);
  EXPECT_NE(Get(store, "0"), "");
  EXPECT_EQ(Get(store, "1"), "");
  EXPECT_NE(Get(store, "4"), "");
  EXPECT_TRUE(lines_.empty());
}

TEST_F(DownloadStoreTest, ADownloadThatIsTooLargeIsNotKept) {
  Store store(Options(1000));
  auto content = store.NewDownload();
  const auto status = content->Append(std::string(501, 'x'));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
}

TEST_F(DownloadStoreTest, PruneFreesWhatNoEntryHasOrAll) {
  Put(store_, "a", std::string(8192, 'a'));
  Put(store_, "a", std::string(8192, 'b'));
  const auto some = store_.Prune(false);
  ASSERT_TRUE(some.ok());
  EXPECT_EQ(some->files, 1U);
  EXPECT_GE(some->bytes, 8192U);
  EXPECT_EQ(Get(store_, "a"), std::string(8192, 'b'));
  const auto all = store_.Prune(true);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->files, 2U);
  EXPECT_EQ(Get(store_, "a"), "");
  EXPECT_EQ(store_.BytesStored(), 0U);
}

TEST_F(DownloadStoreTest, RoomIsMadeAboveTheLimitAndADryRunSaysHowMuch) {
  Put(store_, "a", std::string(40'000, 'a'));
  Put(store_, "b", std::string(40'000, 'b'));
  PrunedDownloads dry;
  dry.dry = true;
  ASSERT_TRUE(Store(Options(60'000)).MakeRoom(false, dry).ok());
  EXPECT_EQ(dry.files, 2U);  // The content and its entry.
  EXPECT_GE(dry.bytes, 40'000U);
  EXPECT_EQ(FilesIn("content").size(), 2U);
  PrunedDownloads freed;
  ASSERT_TRUE(Store(Options(60'000)).MakeRoom(false, freed).ok());
  EXPECT_EQ(freed.files, dry.files);
  EXPECT_EQ(freed.bytes, dry.bytes);
  EXPECT_EQ(FilesIn("content").size(), 1U);
  ASSERT_TRUE(Store(Options(60'000)).MakeRoom(true, freed).ok());
  EXPECT_EQ(FilesIn("content").size(), 0U);
}

// A proxy that a guest has taken over writes there.
TEST_F(DownloadStoreTest, PruneFollowsNoLinkAndWaitsForNoPipe) {
  const fs::path outside = directory_.path() / "outside";
  fs::create_directories(outside / "aa");
  const fs::path kept = outside / "aa" / Sha256Of("kept");
  ASSERT_TRUE(sys::WriteFileAtomically(kept, "kept").ok());
  ASSERT_TRUE(sys::WriteFileAtomically(outside / "mine", "kept").ok());
  Put(store_, "a", "alpha");
  fs::create_directory_symlink(outside / "aa", root_ / "index" / "aa");
  fs::create_directory_symlink(outside / "aa", root_ / "content" / "aa");
  fs::create_directories(root_ / "index" / "bb");
  fs::create_symlink(outside / "mine", root_ / "index" / "bb" / Sha256Of("link"));
  ASSERT_EQ(::mkfifo((root_ / "index" / "bb" / Sha256Of("pipe")).c_str(), 0600), 0);
  fs::create_symlink(outside, root_ / "partial" / "link");
  ASSERT_TRUE(store_.Trim().ok());
  ASSERT_TRUE(store_.Prune(false).ok());
  EXPECT_EQ(Get(store_, "a"), "alpha");
  ASSERT_TRUE(store_.Prune(true).ok());
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_TRUE(fs::exists(outside / "mine"));
  EXPECT_FALSE(fs::is_symlink(root_ / "partial" / "link"));

  for (const char* name : {"index", "content", "partial"}) {
    fs::remove_all(root_ / name);
    fs::create_directory_symlink(outside, root_ / name);
  }
  fs::remove(root_ / "lock");
  fs::create_symlink(outside / "made", root_ / "lock");
  static_cast<void>(store_.Prune(true));
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_TRUE(fs::exists(outside / "mine"));
  EXPECT_FALSE(fs::exists(outside / "made"));
}

TEST_F(DownloadStoreTest, ALargeContentIsHashedAgainOnceItsFileHasChanged) {
  std::string bytes(2 << 20, 'x');
  Put(store_, "a", bytes);
  EXPECT_EQ(Get(store_, "a").size(), 0U + bytes.size());
  EXPECT_EQ(Get(store_, "a").size(), 0U + bytes.size());
  bytes[5] = 'y';
  const fs::path file = FilesIn("content").at(0);
  ASSERT_TRUE(sys::WriteFileAtomically(file, bytes).ok());
  EXPECT_EQ(Get(store_, "a"), "");
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(DownloadStoreTest, PruneLeavesContentThatIsAboutToGetItsEntry) {
  Put(store_, "a", "alpha");
  fs::remove(FilesIn("index").at(0));
  const auto content = store_.NewDownload();
  EXPECT_EQ(store_.Prune(false)->files, 0U);
  EXPECT_EQ(FilesIn("content").size(), 1U);
}

}  // namespace
}  // namespace pyro::downloads
