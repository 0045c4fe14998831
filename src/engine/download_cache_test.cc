#include "engine/download_cache.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "downloads/store.h"
#include "engine/settings.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class DownloadCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("PYRO_LIBEXEC_DIR", sys::Environment("PYRO_TEST_BIN").c_str(), 1);
    home_before_ = sys::Environment("HOME");
    ::setenv("HOME", home_.c_str(), 1);
    for (const char* name : kNames) ::unsetenv(name);
    environment_.manifest.apt_sources = {"deb http://mirror.example/debian bookworm main"};
  }
  void TearDown() override {
    ::unsetenv("PYRO_LIBEXEC_DIR");
    ::setenv("HOME", home_before_.c_str(), 1);
    for (const char* name : kNames) ::unsetenv(name);
  }

  void Write(const fs::path& file, std::string_view text) const {
    ASSERT_TRUE(sys::MakeDirectories((home_ / file).parent_path()).ok());
    ASSERT_TRUE(sys::WriteFileAtomically(home_ / file, text).ok());
  }
  Context MakeContext() const {
    return {.state = directory_.path() / "state",
            .cache = directory_.path() / "cache",
            .configuration = directory_.path() / "config",
            .clock = SystemClock(),
            .builder = nullptr,
            .image_builder = nullptr};
  }
  static bool HasHost(const DownloadPlan& plan, std::string_view name) {
    return std::ranges::any_of(plan.hosts, [&](const auto& host) { return host.name == name; });
  }

  static constexpr const char* kNames[] = {"PIP_INDEX_URL", "PIP_CONFIG_FILE",
                                           "NPM_CONFIG_REGISTRY", "npm_config_registry",
                                           "CARGO_HOME"};
  sys::TestDirectory directory_;
  const fs::path home_ = directory_.path() / "home";
  std::string home_before_;
  image::InstalledEnvironment environment_;
};

TEST_F(DownloadCacheTest, FilesOfTheUserNameMirrors) {
  Write(".config/pip/pip.conf", "[global]\nindex-url = https://pip.example/simple\n");
  Write(".npmrc", "registry=https://npm.example/\n");
  Write(".cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'm'\n[source.m]\n"
        "registry = 'sparse+https://cargo.example/'\n");
  downloads::Mirrors mirrors = MirrorsOfHost();
  EXPECT_EQ(mirrors.pip_index, "https://pip.example/simple");
  EXPECT_EQ(mirrors.npm_registry, "https://npm.example/");
  EXPECT_EQ(mirrors.cargo_index, "https://cargo.example/");

  Write("other.conf", "[global]\nindex-url = https://file.example/simple\n");
  ::setenv("PIP_CONFIG_FILE", (home_ / "other.conf").c_str(), 1);
  EXPECT_EQ(MirrorsOfHost().pip_index, "https://file.example/simple");
  ::setenv("PIP_INDEX_URL", "https://variable.example/simple", 1);
  EXPECT_EQ(MirrorsOfHost().pip_index, "https://variable.example/simple");
  ::setenv("npm_config_registry", "https://variable.example/", 1);
  EXPECT_EQ(MirrorsOfHost().npm_registry, "https://variable.example/");
  ::setenv("CARGO_HOME", (home_ / "none").c_str(), 1);
  EXPECT_EQ(MirrorsOfHost().cargo_index, "");
}

TEST_F(DownloadCacheTest, APlanHasTheHostsAndWhichAreForDownloadsAlone) {
  ::setenv("NPM_CONFIG_REGISTRY", "https://npm.example:8443/npm", 1);
  const auto plan = PlanDownloads(MakeContext(), environment_, nullptr);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_TRUE(HasHost(*plan, "mirror.example"));
  EXPECT_TRUE(HasHost(*plan, "npm.example"));
  EXPECT_NE(plan->only_cached.find("npm.example:8443"), std::string::npos);
  EXPECT_NE(plan->routes.find("https://npm.example:8443/npm/"), std::string::npos);
  EXPECT_TRUE(fs::is_directory(plan->directory));
  EXPECT_EQ(plan->max_bytes, 8ULL << 30);
  EXPECT_TRUE(plan->notes.empty());

  const net::Policy policy = *net::Policy::Parse("allow npm.example\n");
  const auto open = PlanDownloads(MakeContext(), environment_, &policy);
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->only_cached.find("npm.example"), std::string::npos);
  EXPECT_NE(open->only_cached.find("mirror.example:80"), std::string::npos);
  const net::Policy all;
  EXPECT_EQ(PlanDownloads(MakeContext(), environment_, &all)->only_cached, "");
}

TEST_F(DownloadCacheTest, AMirrorWithAPasswordIsToldAndLeftOut) {
  ::setenv("PIP_INDEX_URL", "https://user:hidden@pip.example/simple", 1);
  const auto plan = PlanDownloads(MakeContext(), environment_, nullptr);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->notes.size(), 1u);
  EXPECT_EQ(plan->notes[0].find("hidden"), std::string::npos);
  EXPECT_EQ(plan->routes.find("hidden"), std::string::npos);
  EXPECT_FALSE(HasHost(*plan, "pip.example"));
}

TEST_F(DownloadCacheTest, TheSettingSaysHowMuchIsKept) {
  ASSERT_TRUE(ChangeSettings(MakeContext().configuration, [](Settings& settings) {
                return settings.Set("cache.size", "2G");
              }).ok());
  EXPECT_EQ(PlanDownloads(MakeContext(), environment_, nullptr)->max_bytes, 2ULL << 30);
}

TEST_F(DownloadCacheTest, PruneFreesDownloadsAndSaysHowMuch) {
  const Context context = MakeContext();
  PrunedEnvironments pruned;
  ASSERT_TRUE(PruneDownloads(context, DownloadsToPrune::kAll, false, pruned).ok());
  EXPECT_TRUE(pruned.removed.empty());
  EXPECT_FALSE(fs::exists(DownloadsDirectory(context)));

  downloads::Store store({.root = DownloadsDirectory(context)});
  ASSERT_TRUE(store.Prepare().ok());
  auto content = store.NewDownload();
  ASSERT_TRUE(content->Append(std::string(50'000, 'x')).ok());
  ASSERT_TRUE(content->Commit({.key = {.url = "https://a.example/", .accept = "*/*"}}).ok());
  ASSERT_TRUE(PruneDownloads(context, DownloadsToPrune::kLeftovers, false, pruned).ok());
  EXPECT_TRUE(pruned.removed.empty());
  ASSERT_TRUE(PruneDownloads(context, DownloadsToPrune::kAll, false, pruned).ok());
  ASSERT_EQ(pruned.removed.size(), 1u);
  EXPECT_EQ(pruned.removed[0].what, "2 files");
  EXPECT_GE(pruned.bytes_freed, 50'000u);
}

}  // namespace
}  // namespace pyro::engine
