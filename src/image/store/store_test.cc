#include "image/store/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "image/store/install_paths.h"
#include "image/testing/fake_builder.h"
#include "image/testing/fake_image_builder.h"
#include "sys/file_lock.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "debian:12";

class StoreTest : public testing::Test {
 protected:
  Result<PullResult> Pull(PullMode mode = PullMode::kIfNeeded) {
    return store_.Pull({.source = kName}, mode, {}, {});
  }

  fs::path folder() const { return directory_.path() / "environments/debian-12"; }

  // Names in the environment's folder that start with `prefix`.
  int Count(std::string_view prefix) const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(folder())) {
      if (entry.path().filename().native().starts_with(prefix)) ++count;
    }
    return count;
  }

  void Overwrite(const fs::path& file, std::string_view content) {
    fs::permissions(file, fs::perms::owner_all);
    std::ofstream(file) << content;
  }

  sys::TestDirectory directory_;
  FakeBuilder builder_;
  FakeImageBuilder images_;
  EnvironmentStore store_{directory_.path(), builder_, images_};
};

TEST_F(StoreTest, PullInstallsAndFindFindsIt) {
  const auto missing = store_.Find(kName);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().hint, "pyro env pull debian:12");
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->built);
  const auto found = store_.Find(kName);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->digest, pulled->environment.digest);
  EXPECT_EQ(found->modules.size(), 2U);
  EXPECT_EQ(found->size_bytes, 6U + 6U + 5U + 6U);
  EXPECT_EQ(Count(kPullPrefix) + Count(kTrashPrefix), 0);
  ASSERT_TRUE(Pull());
  EXPECT_EQ(builder_.builds, 1);
}

TEST_F(StoreTest, UnknownNameIsNotFoundAndMakesNothing) {
  const auto pulled = store_.Pull({.source = "../../etc"}, PullMode::kIfNeeded, {}, {});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(directory_.path() / "environments"));
}

TEST_F(StoreTest, ListShowsEveryStateInCatalogOrder) {
  ASSERT_TRUE(Pull());
  ASSERT_TRUE(store_.Pull({.source = "debian:12-base"}, PullMode::kIfNeeded, {}, {}));
  Overwrite(store_.Find("debian:12-base")->kernel, "truncated kernel or so");
  const auto list = store_.List();
  ASSERT_EQ(list.size(), Catalog().size());
  EXPECT_EQ(list[0].state, InstallState::kBroken);
  EXPECT_EQ(list[1].state, InstallState::kInstalled);
  EXPECT_EQ(list[2].state, InstallState::kNotInstalled);
}

TEST_F(StoreTest, WhatAnOlderRecipeBuiltServesUntilItIsPulledAgain) {
  builder_.left_out = "jq";
  const auto old = Pull();
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_TRUE(store_.List()[1].outdated);
  EXPECT_EQ(store_.Find(kName)->digest, old->environment.digest);
  builder_.left_out = "";
  builder_.content = "base with jq";
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->built);
  EXPECT_FALSE(store_.List()[1].outdated);
  EXPECT_TRUE(store_.FindVersion(kName, old->environment.digest)) << "tasks may be on it";
  EXPECT_FALSE(Pull()->built);
}

TEST_F(StoreTest, AnOlderRecipesResultStaysWhenItsPullFails) {
  builder_.left_out = "jq";
  const auto old = Pull();
  ASSERT_TRUE(old) << old.error().message;
  builder_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kUnavailable, "no mirror");
  };
  EXPECT_FALSE(Pull());
  EXPECT_EQ(store_.Find(kName)->digest, old->environment.digest);
}

TEST_F(StoreTest, PullRepairsEveryKindOfBreakage) {
  ASSERT_TRUE(Pull());
  const fs::path version = store_.Find(kName)->directory;
  const std::vector<std::function<void()>> breakages = {
      [&] { fs::remove(version / "modules/erofs.ko"); },
      [&] { Overwrite(version / "base.erofs", "short"); },
      [&] { Overwrite(version / "manifest.json", "{"); },
      [&] { fs::remove(version / "manifest.json"); },
      [&] { fs::remove_all(version); },
      [&] {
        fs::remove(folder() / kCurrentName);
        fs::create_symlink("/etc", folder() / kCurrentName);
      },
      [&] {
        fs::remove(version / "vmlinuz");
        fs::create_symlink("/etc/hostname", version / "vmlinuz");
      },
  };
  for (const auto& break_it : breakages) {
    break_it();
    const auto broken = store_.Find(kName);
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, ErrorCode::kDataLoss) << broken.error().message;
    const auto repaired = Pull();
    ASSERT_TRUE(repaired) << repaired.error().message;
    EXPECT_TRUE(repaired->built);
    ASSERT_TRUE(store_.Inspect(kName, CheckDepth::kDigests));
    EXPECT_EQ(Count(kPullPrefix) + Count(kTrashPrefix), 0);
  }
}

TEST_F(StoreTest, InspectSeesAChangedByteThatFindDoesNot) {
  ASSERT_TRUE(Pull());
  Overwrite(store_.Find(kName)->base_image, "base 2");
  EXPECT_TRUE(store_.Find(kName));
  const auto inspected = store_.Inspect(kName, CheckDepth::kDigests);
  ASSERT_FALSE(inspected);
  EXPECT_EQ(inspected.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(inspected.error().message.find("base.erofs"), std::string::npos);
}

TEST_F(StoreTest, ARebuildLeavesTheOldVersionForThoseWhoUseIt) {
  const auto first = Pull();
  ASSERT_TRUE(first);
  builder_.content = "base 2";
  const auto second = Pull(PullMode::kRebuild);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_NE(second->environment.digest, first->environment.digest);
  EXPECT_EQ(store_.Find(kName)->digest, second->environment.digest);
  EXPECT_TRUE(store_.FindVersion(kName, first->environment.digest));
  EXPECT_FALSE(store_.FindVersion(kName, "../../../../etc/passwd"));
}

TEST_F(StoreTest, AFailedBuildLeavesTheInstalledVersionAndNothingElse) {
  const auto first = Pull();
  ASSERT_TRUE(first);
  builder_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kNoSpace, "the disk filled up");
  };
  const auto second = Pull(PullMode::kRebuild);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(store_.Find(kName)->digest, first->environment.digest);
  EXPECT_EQ(Count(kPullPrefix), 0);
}

TEST_F(StoreTest, WhatAKilledPullLeftIsClearedByTheNext) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    builder_.before_files = [&](const fs::path&) -> Status {
      static_cast<void>(::write(ready[1], "x", 1) == 1);
      for (;;) ::pause();
    };
    static_cast<void>(Pull());
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  EXPECT_EQ(Count(kPullPrefix), 1);
  const auto during = store_.Prune(PruneScope::kAll, {});
  ASSERT_TRUE(during) << during.error().message;
  EXPECT_EQ(during->skipped,
            std::vector<std::string>{kName});  // A pull under way is not a leftover.
  EXPECT_EQ(Count(kPullPrefix), 1);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(store_.Find(kName));
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(Count(kPullPrefix), 0);
}

TEST_F(StoreTest, TheSecondOfTwoPullsWaitsAndTakesTheFirstOnesResult) {
  int entered[2];
  int go_on[2];
  ASSERT_EQ(::pipe2(entered, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(go_on, O_CLOEXEC), 0);
  builder_.before_files = [&](const fs::path&) -> Status {
    char byte = 0;
    static_cast<void>(::write(entered[1], "x", 1) == 1);
    static_cast<void>(::read(go_on[0], &byte, 1) == 1);
    return OkStatus();
  };
  std::thread first([&] { EXPECT_TRUE(Pull()); });
  char byte = 0;
  ASSERT_EQ(::read(entered[0], &byte, 1), 1);
  FakeBuilder other;
  EnvironmentStore second(directory_.path(), other, images_);
  std::vector<std::string> phases;
  const auto pulled = second.Pull({.source = kName}, PullMode::kIfNeeded,
                                  [&](const PullProgress& progress) {
                                    phases.push_back(progress.phase);
                                    static_cast<void>(::write(go_on[1], "x", 1) == 1);
                                  },
                                  {});
  first.join();
  for (const int fd : {entered[0], entered[1], go_on[0], go_on[1]}) ::close(fd);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_FALSE(pulled->built);
  EXPECT_EQ(other.builds, 0);
  EXPECT_EQ(phases, std::vector<std::string>{"wait"});
}

TEST_F(StoreTest, WaitingForAnotherPullCanBeStopped) {
  ASSERT_TRUE(sys::MakeDirectories(folder()));
  const auto held = sys::FileLock::TryAcquire(folder() / kLockName);
  ASSERT_TRUE(held && held->has_value());
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  const auto pulled = store_.Pull({.source = kName}, PullMode::kIfNeeded,
                                  [&](const PullProgress& progress) {
                                    if (progress.phase == "wait") stop->write.Reset();
                                  },
                                  {stop->read.get()});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(builder_.builds, 0);
}

TEST_F(StoreTest, PruneRemovesOnlyWhatIsNotNeeded) {
  const auto first = Pull();
  builder_.content = "base 2";
  const auto second = Pull(PullMode::kRebuild);
  builder_.content = "base 3";
  const auto third = Pull(PullMode::kRebuild);
  ASSERT_TRUE(first && second && third);
  fs::create_directory(folder() / ".pull-dead");
  std::ofstream(first->environment.directory.native() + ".initramfs-0123456789abcdef.cpio") << "x";
  std::ofstream(third->environment.directory.native() + ".initramfs-0123456789abcdef.cpio") << "x";
  const auto report = store_.Prune(PruneScope::kLeftovers, {second->environment.digest});
  ASSERT_TRUE(report) << report.error().message;
  std::vector<std::string> what;
  for (const auto& item : report->removed) what.push_back(item.what);
  std::sort(what.begin(), what.end());
  EXPECT_EQ(what,
            (std::vector<std::string>{"initramfs", "interrupted pull", "superseded version"}));
  EXPECT_GT(report->bytes_freed, 0U);
  EXPECT_FALSE(store_.FindVersion(kName, first->environment.digest));
  EXPECT_TRUE(store_.FindVersion(kName, second->environment.digest));
  EXPECT_EQ(store_.Find(kName)->digest, third->environment.digest);
  EXPECT_TRUE(store_.Prune(PruneScope::kLeftovers, {second->environment.digest})->removed.empty());
}

TEST_F(StoreTest, PruneOfAllSparesWhatIsInUse) {
  const auto pulled = Pull();
  ASSERT_TRUE(pulled);
  ASSERT_TRUE(store_.Prune(PruneScope::kAll, {pulled->environment.digest}));
  EXPECT_TRUE(store_.Find(kName));
  EnvironmentStore::NoteUse(pulled->environment);
  const auto report = store_.Prune(PruneScope::kAll, {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->removed.size(), 1U);
  EXPECT_EQ(report->removed[0].what, "version");
  const auto gone = store_.Find(kName);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(Pull());
  for (const auto& summary : store_.List()) EXPECT_EQ(summary.last_used_at, "") << summary.name;
}

}  // namespace
}  // namespace pyro::image
