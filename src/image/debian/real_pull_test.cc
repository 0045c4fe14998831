// Builds an environment with the real tools from this host's package sources. The result is left in
// $PYRO_TEST_CACHE (or test-cache in the build directory) for the tests that boot guests, so it is
// built once.

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "image/initramfs/initramfs.h"
#include "image/store/store.h"
#include "sys/host.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

// The build directory's own, where none is named.
std::filesystem::path TestCache() {
  const char* named = std::getenv("PYRO_TEST_CACHE");
  if (named != nullptr && *named == '/') return named;
  return sys::ProgramDirectory().value().parent_path() / "test-cache";
}

TEST(RealPull, BuildsABootableEnvironmentFromTheHostsSources) {
  const std::filesystem::path cache = TestCache();
  DebianBuilder builder({}, {});
  const auto missing = builder.MissingTools();
  ASSERT_TRUE(missing.empty()) << missing.front();
  OciImageBuilder images(cache, {});
  EnvironmentStore store(cache, builder, images);
  std::string phases;
  const auto pulled = store.Pull({.source = "debian:12"}, PullMode::kIfNeeded,
                                 [&](const PullProgress& progress) {
                                   if (!phases.ends_with(progress.phase + " "))
                                     phases += progress.phase + " ";
                                 },
                                 {});
  ASSERT_TRUE(pulled) << pulled.error().message << " " << pulled.error().hint;
  if (pulled->built) {
    EXPECT_EQ(phases, "check update download extract install kernel seal verify done ");
  }

  const auto found = store.Inspect("debian:12", CheckDepth::kDigests);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_NE(found->manifest.kernel_release.find("cloud"), std::string::npos);
  EXPECT_EQ(found->modules.front().filename(), "virtio_ring.ko");
  const auto& packages = found->manifest.packages;
  EXPECT_TRUE(
      std::any_of(packages.begin(), packages.end(), [](const auto& p) { return p.name == "git"; }));
  for (const auto& source : found->manifest.apt_sources) {
    EXPECT_NE(source.find(" main"), std::string::npos) << source;
  }

  sys::TestDirectory directory;
  std::ofstream(directory.path() / "agent") << "#!agent";
  const auto initramfs = EnsureInitramfs(*found, directory.path() / "agent");
  ASSERT_TRUE(initramfs) << initramfs.error().message;
  std::filesystem::remove(*initramfs);
}

}  // namespace
}  // namespace pyro::image
