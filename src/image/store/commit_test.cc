#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/try.h"
#include "image/oci/layout.h"
#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "image/store/store.h"
#include "image/testing/fake_builder.h"
#include "image/testing/fake_image_builder.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCatalogName = "debian:12-base";

class CommitTest : public testing::Test {
 protected:
  CommitTest() {
    record_.task_id = "task_abc";
    record_.task_name = "tools";
    record_.environment = kCatalogName;
    record_.environment_digest = std::string(64, 'd');
    record_.committed_at = "2026-01-02T03:04:05.678Z";
    record_.steps = {{.sequence = 3,
                      .command = "apt-get install make",
                      .cwd = "/workspace",
                      .user = "",
                      .outcome = "exited",
                      .exit_code = 0,
                      .started_at = "2026-01-01T00:00:00.000Z"}};
    record_.more_steps = 2;
  }

  InstalledEnvironment Catalog() {
    auto pulled = store_.Pull({.source = kCatalogName}, PullMode::kIfNeeded, {}, {});
    EXPECT_TRUE(pulled) << pulled.error().message;
    return std::move(pulled->environment);
  }

  Result<InstalledEnvironment> Commit(const std::string& name, const InstalledEnvironment& parent) {
    const CommitFn make = [this](int fd) -> Result<CommittedTree> {
      CommittedTree tree;
      PYRO_ASSIGN_OR_RETURN(tree.left_out, make_(fd));
      tree.record = record_;
      return tree;
    };
    return store_.Commit(name, parent, make, {}, {});
  }

  // Folders and what is in them, of one environment, except versions and small files.
  std::vector<std::string> Leftovers(std::string_view name) const {
    std::vector<std::string> left;
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator(directory_.path() / "environments" / FolderName(name), error)) {
      const std::string file = entry.path().filename();
      if (file.starts_with(kPullPrefix) || file.starts_with(kTrashPrefix)) left.push_back(file);
    }
    return left;
  }

  sys::TestDirectory directory_;
  FakeBuilder builder_;
  FakeImageBuilder images_;
  EnvironmentStore store_{directory_.path(), builder_, images_};
  CommitRecord record_;
  LayerFn make_ = [](int fd) -> Result<std::vector<std::string>> {
    PYRO_RETURN_IF_ERROR(sys::WriteAll(fd, "the tree"));
    return std::vector<std::string>{"a socket"};
  };
};

TEST_F(CommitTest, HasTheKernelOfItsParentAndTellsWhereItComesFrom) {
  const InstalledEnvironment parent = Catalog();
  images_.left_out = {"a device"};
  const auto made = Commit("tools", parent);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->manifest.kernel.sha256, parent.manifest.kernel.sha256);
  EXPECT_EQ(made->manifest.kernel_release, parent.manifest.kernel_release);
  EXPECT_EQ(made->modules.size(), parent.modules.size());
  ASSERT_TRUE(made->manifest.image);
  EXPECT_EQ(made->manifest.image->source, "commit of task tools (task_abc)");
  EXPECT_EQ(made->manifest.image->left_out, (std::vector<std::string>{"a device", "a socket"}));
  const auto found = store_.Find("tools");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_TRUE(found->manifest.commit);
  const CommitRecord& commit = *found->manifest.commit;
  EXPECT_FALSE(commit.configured) << "the catalog has no configuration";
  EXPECT_EQ(commit.environment, kCatalogName);
  ASSERT_EQ(commit.steps.size(), 1u);
  EXPECT_EQ(commit.steps[0].command, "apt-get install make");
  EXPECT_EQ(commit.steps[0].outcome, "exited");
  EXPECT_EQ(commit.more_steps, 2u);
  EXPECT_TRUE(Leftovers("tools").empty());
  EXPECT_EQ(store_.List().back().description, "committed from a task");
}

TEST_F(CommitTest, TheConfigurationOfAnImageGoesOn) {
  images_.config.user = "app";
  images_.config.env = {"A=b"};
  const auto pulled =
      store_.Pull({.source = "oci:registry.example/app:1"}, PullMode::kIfNeeded, {}, {});
  ASSERT_TRUE(pulled);
  Json config;
  images_.before_files = [&](const fs::path& work) -> Status {
    // The layout that is installed has it, with the history.
    for (const auto& blob : fs::directory_iterator(work.parent_path() / "tree/blobs/sha256")) {
      const auto text = sys::ReadFile(blob.path(), 1 << 20).value();
      const auto json = ParseJson(text, 1 << 20);
      if (json && json->contains("history")) config = *json;
    }
    return OkStatus();
  };
  const auto made = Commit("tools", pulled->environment);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->manifest.commit->configured);
  EXPECT_EQ(config["config"]["User"], "app");
  EXPECT_EQ(config["config"]["Env"], Json::array({"A=b"}));
  ASSERT_EQ(config["history"].size(), 3u);
  EXPECT_EQ(config["history"][0]["created_by"], "apt-get install make");
  images_.before_files = {};
  const auto again = Commit("more", *made);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->manifest.commit->configured) << "of a commit of a commit, too";
}

TEST_F(CommitTest, AFailureLeavesNothingAndWhatWasInstalledStays) {
  const InstalledEnvironment parent = Catalog();
  ASSERT_TRUE(Commit("tools", parent));
  const std::string digest = store_.Find("tools")->digest;
  images_.content = "another";
  const LayerFn good = make_;
  make_ = [](int) -> Result<std::vector<std::string>> {
    return MakeError(ErrorCode::kGuestUnavailable, "the guest has died");
  };
  for (const char* name : {"tools", "fresh"}) {
    const auto made = Commit(name, parent);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kGuestUnavailable);
    EXPECT_TRUE(Leftovers(name).empty());
  }
  EXPECT_EQ(store_.Find("tools")->digest, digest);
  EXPECT_FALSE(fs::exists(directory_.path() / "environments" / FolderName("fresh")));
  make_ = good;
  ASSERT_TRUE(Commit("tools", parent));
  EXPECT_NE(store_.Find("tools")->digest, digest);
  EXPECT_TRUE(store_.FindVersion("tools", digest)) << "tasks keep the version that they have";
}

TEST_F(CommitTest, ACommitThatWaitedHasWhatTheTaskRanMeanwhile) {
  const InstalledEnvironment parent = Catalog();
  const fs::path folder = directory_.path() / "environments" / FolderName("tools");
  fs::create_directories(folder);
  std::optional<sys::FileLock> other;
  {
    auto held = sys::FileLock::TryAcquire(folder / kLockName);
    ASSERT_TRUE(held && *held);
    other = std::move(**held);
  }
  // It is told to wait; then a command ends, and the other commit, too.
  const ProgressFn progress = [&](const PullProgress& news) {
    if (news.phase != "wait" || !other) return;
    record_.steps.push_back({.sequence = 4, .command = "meanwhile"});
    other.reset();
  };
  const auto made = store_.Commit("tools", parent,
                                  [this](int fd) -> Result<CommittedTree> {
                                    PYRO_RETURN_IF_ERROR(sys::WriteAll(fd, "the tree"));
                                    return CommittedTree{record_, {}};
                                  },
                                  progress, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(other);
  ASSERT_EQ(made->manifest.commit->steps.size(), 2u);
  EXPECT_EQ(made->manifest.commit->steps[1].command, "meanwhile");
}

TEST_F(CommitTest, NamesOfTheCatalogAreRefused) {
  const InstalledEnvironment parent = Catalog();
  for (const char* name : {"debian:12", "oci:registry.example/app", "", "../up"}) {
    const auto made = Commit(name, parent);
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument) << name;
  }
}

TEST_F(CommitTest, AnExportUsesTheKeptBlobsAndElseTheTree) {
  const InstalledEnvironment parent = Catalog();
  const auto exported = [&](const InstalledEnvironment& environment, const std::string& name) {
    const auto fd =
        sys::OpenFile(directory_.path() / name, O_RDWR | O_CREAT | O_TRUNC, 0644).value();
    const auto written = store_.Export(environment, make_, fd.get(), {}, {});
    EXPECT_TRUE(written) << written.error().message;
    return std::make_pair(sys::ReadFile(directory_.path() / name, 1 << 20).value(), *written);
  };
  const auto [tree, lacks] = exported(parent, "a.tar");
  EXPECT_NE(tree.find("the tree"), std::string::npos);
  EXPECT_EQ(lacks, std::vector<std::string>{"a socket"});
  EXPECT_EQ(exported(parent, "b.tar").first, tree) << "the same bytes each time";
  EXPECT_TRUE(Leftovers(kCatalogName).empty());

  const auto pulled =
      store_.Pull({.source = "oci:registry.example/app:1"}, PullMode::kIfNeeded, {}, {});
  const fs::path layout = directory_.path() / "kept";
  ASSERT_TRUE(sys::WriteFileAtomically(directory_.path() / "layer", "kept layer", 0644));
  ASSERT_TRUE(
      WriteLayout(layout, directory_.path() / "layer",
                  {.config = images_.config, .created = "", .history = {}, .annotations = {}}));
  images_.kept_layout = layout;
  const auto [image, none] = exported(pulled->environment, "c.tar");
  EXPECT_NE(image.find("kept layer"), std::string::npos);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace pyro::image
