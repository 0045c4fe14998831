#include "image/store/build_log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pyro::image {
namespace {

TEST(BuildLog, FollowsAPullFromUpdateToKernel) {
  BuildLog log;
  std::vector<std::string> phases;
  for (const char* line :
       {"I: chroot architecture amd64 is equal to the host's architecture",
        "I: running apt-get update...", "Get:1 http://m.example/debian bookworm InRelease [151 kB]",
        "I: downloading packages with apt...",
        "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
        "Get:1 http://m.example/debian bookworm/main amd64 tar amd64 1.34 [836 kB]",
        "I: extracting archives...", "I: installing essential packages...",
        "Unpacking tar (1.34) ...", "Setting up tar (1.34) ...",
        "I: installing remaining packages inside the chroot...",
        "I: running --customize-hook in shell: sh -c 'set -e"}) {
    if (const auto progress = log.OnLine(line)) {
      if (phases.empty() || phases.back() != progress->phase) phases.push_back(progress->phase);
    }
  }
  EXPECT_EQ(phases,
            (std::vector<std::string>{"update", "download", "extract", "install", "kernel"}));
}

TEST(BuildLog, CountsPackages) {
  BuildLog log;
  log.OnLine("I: downloading packages with apt...");
  log.OnLine("0 upgraded, 4 newly installed, 0 to remove and 0 not upgraded.");
  const auto progress =
      log.OnLine("Get:1 http://m.example/debian bookworm/main amd64 tar amd64 1 [8 kB]");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->detail, "tar");
  ASSERT_TRUE(progress->fraction);
  EXPECT_DOUBLE_EQ(*progress->fraction, 0.25);
}

TEST(BuildLog, HostileLinesAreHarmless) {
  BuildLog log;
  EXPECT_FALSE(log.OnLine(""));
  EXPECT_FALSE(log.OnLine("I: "));
  EXPECT_FALSE(log.OnLine(" newly installed"));
  EXPECT_FALSE(log.OnLine("99999999999999999999 newly installed"));
  const auto progress = log.OnLine("Setting up \x1b[2Jevil (1)");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->detail.find('\x1b'), std::string::npos);
  log.OnLine("Get:1");
}

TEST(ExplainFailure, TellsTheCausesApart) {
  EXPECT_EQ(ExplainFailure("mmdebstrap", "cp: write error: No space left on device\nE: x\n").code,
            ErrorCode::kNoSpace);
  const Error offline =
      ExplainFailure("mmdebstrap",
                     "Err:1 http://m.example/debian bookworm InRelease\n"
                     "  Could not resolve 'm.example'\nE: apt-get update --error-on=any failed\n");
  EXPECT_EQ(offline.code, ErrorCode::kUnavailable);
  EXPECT_EQ(offline.message, "the package mirror cannot be reached: Could not resolve 'm.example'");
  EXPECT_NE(offline.hint.find("apt-get update"), std::string::npos);
  EXPECT_EQ(
      ExplainFailure("mmdebstrap", "W: GPG error: NO_PUBKEY 0E98404D386FA1D9\n").hint.substr(0, 16),
      "sudo apt install");
  const Error other = ExplainFailure("mmdebstrap", "noise\nE: setup failed: odd\n");
  EXPECT_EQ(other.code, ErrorCode::kInternal);
  EXPECT_EQ(other.message, "'mmdebstrap' failed: E: setup failed: odd");
}

}  // namespace
}  // namespace pyro::image
