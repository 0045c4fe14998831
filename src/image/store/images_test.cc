#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "image/store/install_paths.h"
#include "image/store/names.h"
#include "image/store/store.h"
#include "image/testing/fake_builder.h"
#include "image/testing/fake_image_builder.h"
#include "sys/file_lock.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImage = "registry.example/team/app:1";
constexpr const char* kSource = "oci:registry.example/team/app:1";

class ImagesTest : public testing::Test {
 protected:
  Result<PullResult> Pull(std::string source = kSource, std::string name = {},
                          PullMode mode = PullMode::kIfNeeded) {
    return store_.Pull({.source = std::move(source), .name = std::move(name)}, mode, {}, {});
  }

  fs::path environments() const { return directory_.path() / "environments"; }
  fs::path FolderOf(std::string_view name) const { return environments() / FolderName(name); }

  // Folders of images, also empty ones.
  int CountFolders() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(environments())) {
      if (entry.path().filename().native().starts_with(kImagePrefix)) ++count;
    }
    return count;
  }

  static ino_t InodeOf(const fs::path& file) {
    struct stat info {};
    EXPECT_EQ(::stat(file.c_str(), &info), 0) << file;
    return info.st_ino;
  }

  std::vector<std::string> ListedImages() const {
    std::vector<std::string> names;
    const auto list = store_.List();
    for (std::size_t i = Catalog().size(); i < list.size(); ++i) names.push_back(list[i].name);
    return names;
  }

  sys::TestDirectory directory_;
  FakeBuilder builder_;
  FakeImageBuilder images_;
  EnvironmentStore store_{directory_.path(), builder_, images_};
};

TEST_F(ImagesTest, APullInstallsAnImageWithTheKernelOfTheCatalog) {
  images_.config.user = "app";
  images_.left_out = {"a device node"};
  const auto pulled = Pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->built);
  EXPECT_EQ(builder_.builds, 1);
  const auto provider = store_.Find(kKernelProvider);
  ASSERT_TRUE(provider) << "a kernel must come from somewhere";
  const auto found = store_.Find(kImage);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name, kImage);
  EXPECT_EQ(InodeOf(found->kernel), InodeOf(provider->kernel));
  ASSERT_EQ(found->modules.size(), 2U);
  EXPECT_EQ(InodeOf(found->modules[1]), InodeOf(provider->modules[1]));
  EXPECT_EQ(found->modules[0].filename(), "virtio.ko");
  ASSERT_TRUE(found->manifest.image);
  EXPECT_EQ(found->manifest.image->source, kSource);
  EXPECT_EQ(found->manifest.image->source_digest, images_.source_digest);
  EXPECT_EQ(found->manifest.image->config.user, "app");
  EXPECT_EQ(found->manifest.image->left_out, images_.left_out);
  EXPECT_EQ(found->manifest.tools.at("umoci"), "0.4.7");
  EXPECT_TRUE(store_.Inspect(kImage, CheckDepth::kDigests));
  for (const auto& entry : fs::directory_iterator(FolderOf(kImage))) {
    EXPECT_FALSE(entry.path().filename().native().starts_with(kPullPrefix));
  }
}

TEST_F(ImagesTest, TheKernelIsThatOfTheEnvironmentThatWasBuiltLast) {
  ASSERT_TRUE(Pull("debian:12-base"));
  // Until its time is another one: times have milliseconds.
  do {
    builder_.content += "+";
    ASSERT_TRUE(Pull("debian:12", {}, PullMode::kRebuild));
  } while (store_.Find("debian:12")->manifest.built_at <=
           store_.Find("debian:12-base")->manifest.built_at);
  const int builds = builder_.builds;
  ASSERT_TRUE(Pull());
  EXPECT_EQ(builder_.builds, builds);
  EXPECT_EQ(InodeOf(store_.Find(kImage)->kernel), InodeOf(store_.Find("debian:12")->kernel));
}

TEST_F(ImagesTest, AnImageThatIsNotThereIsToldBeforeAKernelIsBuilt) {
  images_.answer = MakeError(ErrorCode::kNotFound, "there is no such image");
  const auto pulled = Pull();
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(builder_.builds, 0);
}

TEST_F(ImagesTest, AnImageWithoutAKernelSaysWhatItLacks) {
  builder_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kUnavailable, "the package mirror cannot be reached");
  };
  const auto pulled = Pull();
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(pulled.error().message.find("kernel of 'debian:12-base'"), std::string::npos);
  EXPECT_EQ(images_.builds, 0);
  EXPECT_EQ(CountFolders(), 0);
}

TEST_F(ImagesTest, NamesWorkWithAndWithoutTheirPrefixAndTheLatestTag) {
  ASSERT_TRUE(Pull("oci:localhost:5000/app"));
  ASSERT_TRUE(Pull("oci-archive:/tmp/box.tar", "box"));
  const std::vector<std::pair<const char*, const char*>> names = {
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"localhost:5000/app:latest", "localhost:5000/app:latest"},
      {"oci:localhost:5000/app", "localhost:5000/app:latest"},
      {"oci:localhost:5000/app:latest", "localhost:5000/app:latest"},
      {"box", "box"},
      {"oci:box", "box"}};
  for (const auto& [typed, name] : names) {
    const auto found = store_.Find(typed);
    ASSERT_TRUE(found) << typed << ": " << found.error().message;
    EXPECT_EQ(found->name, name);
    EXPECT_TRUE(store_.FindVersion(typed, found->digest)) << typed;
    EXPECT_TRUE(store_.Inspect(typed, CheckDepth::kSizes)) << typed;
  }
}

TEST_F(ImagesTest, AMissingImageIsNotFoundWithTheWayToPullIt) {
  const auto expect = [this](const char* name, std::string_view hint) {
    const auto found = store_.Find(name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound) << name;
    EXPECT_NE(found.error().hint.find(hint), std::string::npos)
        << name << ": " << found.error().hint;
  };
  expect(kImage, "pyro env pull oci:registry.example/team/app:1");
  expect("oci:registry.example/team/app", "pyro env pull oci:registry.example/team/app:latest");
  expect("ubuntu", "choose one of: debian:12-base");
  expect("debian:99", "choose one of: debian:12-base");
  expect("oci-archive:/tmp/app.tar", "pyro env pull oci-archive:/tmp/app.tar");
  EXPECT_EQ(store_.Find("oci:app").error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(environments()));
}

TEST_F(ImagesTest, ATagIsPulledAgainOnlyIfItHasAnotherDigest) {
  ASSERT_TRUE(Pull("debian:12-base"));
  const auto first = Pull();
  ASSERT_TRUE(first);
  EXPECT_EQ(images_.asked, 0) << "nothing to compare with";
  const auto second = Pull();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->built);
  EXPECT_EQ(images_.asked, 1);
  EXPECT_EQ(images_.builds, 1);
  images_.source_digest = "sha256:" + std::string(64, '9');
  images_.content = "image 2";
  const auto third = Pull();
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_TRUE(third->built);
  EXPECT_EQ(images_.asked, 2) << "once for each pull";
  EXPECT_EQ(store_.Find(kImage)->digest, third->environment.digest);
  EXPECT_TRUE(store_.FindVersion(kImage, first->environment.digest)) << "tasks may be on it";
  images_.answer = MakeError(ErrorCode::kUnavailable, "no registry");
  EXPECT_EQ(Pull().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store_.Find(kImage)->digest, third->environment.digest);
}

TEST_F(ImagesTest, ADigestIsNoQuestionToTheRegistry) {
  const std::string digest = "sha256:" + std::string(64, '7');
  ASSERT_TRUE(Pull("debian:12-base"));
  ASSERT_TRUE(Pull("oci:registry.example/app@" + digest));
  images_.answer = MakeError(ErrorCode::kUnavailable, "no registry");
  const auto again = Pull("oci:registry.example/app@" + digest);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->built);
  EXPECT_EQ(images_.asked, 0);
}

TEST_F(ImagesTest, AnArchiveIsCalledAsItSaysUnlessAPersonSaysOtherwise) {
  images_.own_name = "team/app:3";
  EXPECT_EQ(Pull("oci-archive:/tmp/a.tar")->environment.name, "team/app:3");
  EXPECT_EQ(Pull("oci-archive:/tmp/a.tar", "mine")->environment.name, "mine");
  images_.own_name = "";
  EXPECT_EQ(Pull("docker-archive:/tmp/some-app.tar.gz")->environment.name, "some-app");
  EXPECT_EQ(ListedImages(), (std::vector<std::string>{"mine", "some-app", "team/app:3"}));
}

TEST_F(ImagesTest, NamesThatImagesCannotHaveAreRefusedBeforeAnythingIsFetched) {
  for (const char* name :
       {"debian:12", "debian:custom", "../../etc", "Upper", "a//b", "oci:x", "a b", "-a"}) {
    const auto pulled = Pull(kSource, name);
    ASSERT_FALSE(pulled) << name;
    EXPECT_EQ(pulled.error().code, ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(Pull("oci:ubuntu").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(images_.builds, 0);
  EXPECT_EQ(builder_.builds, 0);
}

TEST_F(ImagesTest, OptionsOfImagesAreRefusedForTheCatalog) {
  EXPECT_EQ(Pull("debian:12", "mine").error().code, ErrorCode::kInvalidArgument);
  const auto plain = store_.Pull({.source = "debian:12", .name = {}, .fetch = {.plain_http = true}},
                                 PullMode::kIfNeeded, {}, {});
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(builder_.builds, 0);
}

TEST_F(ImagesTest, TheOptionsOfAFetchReachTheBuilder) {
  ASSERT_TRUE(store_.Pull(
      {.source = kSource, .name = {}, .fetch = {.authfile = "/a/file", .plain_http = true}},
      PullMode::kIfNeeded, {}, {}));
  EXPECT_EQ(images_.options.authfile, "/a/file");
  EXPECT_TRUE(images_.options.plain_http);
}

TEST_F(ImagesTest, AFailedPullLeavesNothingOfANewImage) {
  images_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kDataLoss, "layer 3 of the image cannot be unpacked");
  };
  const auto pulled = Pull();
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(CountFolders(), 0);
  EXPECT_TRUE(ListedImages().empty());
}

TEST_F(ImagesTest, AFailedPullLeavesTheInstalledVersion) {
  const auto first = Pull();
  ASSERT_TRUE(first);
  images_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kNoSpace, "the disk filled up");
  };
  EXPECT_EQ(Pull(kSource, {}, PullMode::kRebuild).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(store_.Find(kImage)->digest, first->environment.digest);
}

TEST_F(ImagesTest, TheListShowsImagesBehindTheCatalogWithTheirSourceAndLastUse) {
  ASSERT_TRUE(Pull("oci:registry.example/z"));
  ASSERT_TRUE(Pull("oci:registry.example/a"));
  const auto list = store_.List();
  ASSERT_EQ(list.size(), Catalog().size() + 2);
  const auto& first = list[Catalog().size()];
  EXPECT_EQ(first.name, "registry.example/a:latest");
  EXPECT_EQ(first.source, "oci:registry.example/a");
  EXPECT_EQ(first.source_digest, images_.source_digest);
  EXPECT_EQ(first.state, InstallState::kInstalled);
  EXPECT_EQ(first.last_used_at, "");
  EXPECT_EQ(list[0].source, "");
  EnvironmentStore::NoteUse(*store_.Find("registry.example/a"));
  EnvironmentStore::NoteUse(*store_.Find("registry.example/a"));
  EXPECT_EQ(store_.List()[Catalog().size()].last_used_at.size(),
            std::string("2026-01-31T09:00:00.000Z").size());
  EXPECT_EQ(store_.List()[Catalog().size() + 1].last_used_at, "");
}

TEST_F(ImagesTest, ABrokenImageKeepsItsNameAndAPullRepairsIt) {
  ASSERT_TRUE(Pull());
  const fs::path manifest = store_.Find(kImage)->directory / kManifestName;
  fs::permissions(manifest, fs::perms::owner_all);
  std::ofstream(manifest) << "{";
  const auto list = store_.List();
  ASSERT_EQ(list.size(), Catalog().size() + 1);
  EXPECT_EQ(list.back().name, kImage);
  EXPECT_EQ(list.back().state, InstallState::kBroken);
  EXPECT_EQ(store_.List().back().description, "broken");
  const auto broken = store_.Find(kImage);
  EXPECT_EQ(broken.error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(broken.error().hint, "pyro env pull oci:registry.example/team/app:1");
  ASSERT_TRUE(Pull());
  EXPECT_TRUE(store_.Inspect(kImage, CheckDepth::kDigests));
}

TEST_F(ImagesTest, AFolderThatClaimsTheNameOfAnotherIsNoImage) {
  ASSERT_TRUE(Pull());
  std::ofstream(FolderOf(kImage) / kNameFile) << "registry.example/other:1";
  EXPECT_TRUE(ListedImages().empty());
  EXPECT_TRUE(store_.Find(kImage)) << "its manifest says who it is";
}

TEST_F(ImagesTest, DisksOfLayersAreFilesOfTheVersion) {
  images_.layer_contents = {"layer 1", "layer 2"};
  const auto pulled = Pull();
  ASSERT_TRUE(pulled);
  const InstalledEnvironment& found = pulled->environment;
  ASSERT_EQ(found.layer_images.size(), 2U);
  EXPECT_EQ(found.layer_images[1], found.directory / "layer-2.erofs");
  std::uint64_t size = found.manifest.base.size + found.manifest.kernel.size + 14;
  for (const FileRecord& module : found.manifest.modules) size += module.size;
  EXPECT_EQ(found.size_bytes, size) << "each disk counts";
  fs::permissions(found.layer_images[1], fs::perms::owner_all);
  std::ofstream(found.layer_images[1]) << "layer 3";
  EXPECT_TRUE(store_.Inspect(kImage, CheckDepth::kSizes));
  EXPECT_FALSE(store_.Inspect(kImage, CheckDepth::kDigests));
  fs::remove(found.layer_images[1]);
  EXPECT_FALSE(store_.Inspect(kImage, CheckDepth::kSizes));
}

TEST_F(ImagesTest, ATagIsTheSameFilesUnderAnotherName) {
  images_.layer_contents = {"layer 1"};
  const auto pulled = Pull();
  ASSERT_TRUE(pulled);
  const auto tagged = store_.Tag("oci:registry.example/team/app:1", "mine");
  ASSERT_TRUE(tagged) << tagged.error().message;
  EXPECT_EQ(tagged->name, "mine");
  EXPECT_EQ(tagged->digest, pulled->environment.digest);
  EXPECT_EQ(InodeOf(tagged->base_image), InodeOf(pulled->environment.base_image));
  ASSERT_EQ(tagged->layer_images.size(), 1U);
  EXPECT_EQ(InodeOf(tagged->layer_images[0]), InodeOf(pulled->environment.layer_images[0]));
  EXPECT_EQ(InodeOf(tagged->kernel), InodeOf(pulled->environment.kernel));
  EXPECT_EQ(tagged->manifest.image->source, kSource);
  ASSERT_TRUE(store_.Remove(kImage, {}));
  EXPECT_FALSE(store_.Find(kImage));
  EXPECT_TRUE(store_.Inspect("mine", CheckDepth::kDigests));
  EXPECT_EQ(ListedImages(), std::vector<std::string>{"mine"});
}

TEST_F(ImagesTest, ATagThatIsTakenMovesToTheOtherImage) {
  ASSERT_TRUE(Pull());
  const auto old = store_.Tag(kImage, "mine");
  ASSERT_TRUE(old);
  images_.content = "image 2";
  ASSERT_TRUE(Pull("oci:registry.example/other:1"));
  ASSERT_TRUE(store_.Tag("registry.example/other:1", "mine"));
  EXPECT_EQ(store_.Find("mine")->digest, store_.Find("registry.example/other:1")->digest);
  EXPECT_TRUE(store_.FindVersion("mine", old->digest)) << "tasks may be on it";
  const auto again = store_.Tag("registry.example/other:1", "mine");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(store_.Inspect("mine", CheckDepth::kDigests));
}

TEST_F(ImagesTest, WithoutACatalogTheKernelIsThatOfAnotherImage) {
  ASSERT_TRUE(Pull());
  ASSERT_TRUE(store_.Remove(kKernelProvider, {}));
  builder_.before_files = [](const fs::path&) -> Status {
    return MakeError(ErrorCode::kUnavailable, "no network");
  };
  images_.content = "image 2";
  const auto other = Pull("oci:registry.example/other:1");
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(InodeOf(other->environment.kernel), InodeOf(store_.Find(kImage)->kernel));
  EXPECT_EQ(builder_.builds, 1);
}

TEST_F(ImagesTest, ATagNeedsAnEnvironmentAndAValidName) {
  EXPECT_EQ(store_.Tag(kImage, "mine").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(Pull());
  for (const char* name : {"debian:12", "debian:13-mine", "../x", ""}) {
    EXPECT_EQ(store_.Tag(kImage, name).error().code, ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(CountFolders(), 1);
  ASSERT_TRUE(store_.Tag("debian:12-base", "base")) << "what the catalog has may be tagged, too";
  EXPECT_FALSE(store_.Find("base")->manifest.image);
}

TEST_F(ImagesTest, ARemovalFreesTheImageAndItsLayers) {
  ASSERT_TRUE(Pull());
  images_.content = "image 2";
  images_.layers = {"sha256:" + std::string(64, '5')};
  ASSERT_TRUE(Pull("oci:registry.example/other:1"));
  images_.prunable = 1000000;
  const auto freed = store_.Remove("oci:registry.example/team/app:1", {});
  ASSERT_TRUE(freed) << freed.error().message;
  EXPECT_GT(*freed, 1000000U);
  EXPECT_FALSE(store_.Find(kImage));
  EXPECT_FALSE(fs::exists(FolderOf(kImage)));
  EXPECT_EQ(images_.kept, (std::set<std::string>{"sha256:" + std::string(64, '2'),
                                                 "sha256:" + std::string(64, '5')}));
  EXPECT_TRUE(store_.Find("registry.example/other:1"));
  EXPECT_TRUE(store_.Find(kKernelProvider)) << "the kernel was only shared";
  EXPECT_EQ(store_.Remove(kImage, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(ImagesTest, FilesThatAnotherNameHasAreNotCountedAsFreed) {
  images_.content = std::string(1 << 20, 'x');
  ASSERT_TRUE(Pull());
  ASSERT_TRUE(store_.Tag(kImage, "mine"));
  EXPECT_LT(store_.Remove(kImage, {}).value(), 500000U);
  EXPECT_GE(store_.Remove("mine", {}).value(), 1000000U);
}

TEST_F(ImagesTest, WhatATaskUsesIsNotRemoved) {
  const auto first = Pull();
  ASSERT_TRUE(first);
  images_.source_digest = "sha256:" + std::string(64, '9');
  images_.content = "image 2";
  ASSERT_TRUE(Pull());
  const auto refused = store_.Remove(kImage, {first->environment.digest});
  ASSERT_FALSE(refused) << "an older version is its task's";
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongState);
  EXPECT_TRUE(store_.Find(kImage));
  EXPECT_TRUE(store_.FindVersion(kImage, first->environment.digest));
  ASSERT_TRUE(store_.Remove(kImage, {std::string(64, 'f')}));
}

TEST_F(ImagesTest, WhatIsBeingPulledIsNotRemoved) {
  ASSERT_TRUE(Pull());
  const auto held = sys::FileLock::TryAcquire(FolderOf(kImage) / kLockName);
  ASSERT_TRUE(held && held->has_value());
  EXPECT_EQ(store_.Remove(kImage, {}).error().code, ErrorCode::kUnavailable);
  const auto pruned = store_.Prune(PruneScope::kAll, {});
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->skipped, std::vector<std::string>{kImage});
  EXPECT_TRUE(store_.Find(kImage));
}

TEST_F(ImagesTest, APruneFreesOldVersionsAndLayersThatNoImageHas) {
  const auto first = Pull();
  images_.source_digest = "sha256:" + std::string(64, '9');
  images_.content = "image 2";
  images_.layers.push_back("sha256:" + std::string(64, '4'));
  const auto second = Pull();
  ASSERT_TRUE(first && second);
  fs::create_directory(environments() / "image-0123456789abcdef");
  fs::create_directory(environments() / "image-0123456789abcdef/.pull-dead");
  images_.prunable = 77;
  const auto report = store_.Prune(PruneScope::kLeftovers, {});
  ASSERT_TRUE(report) << report.error().message;
  std::vector<std::string> what;
  for (const auto& item : report->removed) what.push_back(item.name + " " + item.what);
  std::sort(what.begin(), what.end());
  EXPECT_EQ(what,
            (std::vector<std::string>{" unused layers", "image-0123456789abcdef interrupted pull",
                                      std::string(kImage) + " superseded version"}));
  EXPECT_EQ(report->removed.back().bytes, 77U);
  EXPECT_EQ(images_.kept.count("sha256:" + std::string(64, '4')), 1U);
  EXPECT_FALSE(fs::exists(environments() / "image-0123456789abcdef"));
  EXPECT_EQ(store_.Find(kImage)->digest, second->environment.digest);
  ASSERT_TRUE(store_.Prune(PruneScope::kAll, {second->environment.digest}));
  EXPECT_TRUE(store_.Find(kImage)) << "in use";
  ASSERT_TRUE(store_.Prune(PruneScope::kAll, {}));
  EXPECT_EQ(CountFolders(), 0);
}

}  // namespace
}  // namespace pyro::image
