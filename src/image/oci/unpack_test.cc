#include "image/oci/unpack.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "image/testing/fake_tools.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class UnpackTest : public testing::Test {
 protected:
  void SetUp() override {
    // Takes its own options off and becomes the program.
    tools_.Add("unshare",
               "while true; do case $1 in --version) exit 0;; --*) shift;; *) break;; esac; "
               "done\nexec \"$@\"");
    tools_.Add("newuidmap", "");
    tools_.Add("rm", "exec /bin/rm \"$@\"");
    tools_.Add("mkfs.erofs",
               "printf '%s\\n' \"$@\" > mkfs-arguments\n/usr/bin/env > mkfs-environment\n"
               "for a; do case $a in */base.erofs) echo image > \"$a\";; esac; done\n"
               "printf '\\r\\033[KProcessing usr ...\\r\\033[KProcessing usr/bin ...'");
    Unpacks("");
    image_.layout = directory_.path() / "layout";
    image_.tag = "pulled";
    fs::create_directories(image_.layout / "blobs/sha256");
    AddLayer('1', 30);
    AddLayer('2', 70);
  }

  void AddLayer(char digit, std::size_t bytes) {
    const std::string digits(64, digit);
    image_.layers.push_back("sha256:" + digits);
    std::ofstream(image_.layout / "blobs/sha256" / digits) << std::string(bytes, 'x');
  }

  // umoci prints these lines between two layers, or ends with status 1 behind them.
  void Unpacks(const std::string& lines, bool fails = false) {
    std::ofstream(directory_.path() / "said") << lines;
    tools_.Add("umoci", fmt::format("printf '%s\\n' \"$@\" > umoci-arguments\n"
                                    "mkdir -p rootfs/usr/bin\n"
                                    "echo '   * unpack layer: sha256:1'\n/bin/cat said\n"
                                    "{}echo '   * unpack layer: sha256:2'",
                                    fails ? "exit 1\n" : ""));
  }

  Result<SealedImage> Unpack(const ProgressFn& progress = {}, Cancellation cancel = {}) {
    const auto root = RootNamespace::Create(tools_.paths());
    if (!root) return root.error();
    return UnpackAndSeal(tools_.paths(), *root, image_, directory_.path(),
                         directory_.path() / "base.erofs", {}, progress, cancel);
  }

  std::string Read(std::string_view name) const {
    return sys::ReadFile(directory_.path() / name, 1 << 20).value_or("");
  }

  Error FailureOf(const std::string& line) {
    Unpacks(line, true);
    const auto failed = Unpack();
    EXPECT_FALSE(failed);
    EXPECT_FALSE(fs::exists(directory_.path() / "base.erofs"));
    return failed ? Error() : failed.error();
  }

  sys::TestDirectory directory_;
  FakeTools tools_{directory_.path()};
  FetchedImage image_;
};

TEST_F(UnpackTest, TheTreeIsUnpackedWithItsOwnersSealedWithItsTimesAndRemoved) {
  ::setenv("SOURCE_DATE_EPOCH", "1", 1);
  const auto sealed = Unpack();
  ::unsetenv("SOURCE_DATE_EPOCH");
  ASSERT_TRUE(sealed) << sealed.error().message;
  EXPECT_TRUE(sealed->left_out.empty());
  EXPECT_EQ(Read("umoci-arguments"), "--log=info\nraw\nunpack\n--image\nlayout:pulled\nrootfs\n");
  EXPECT_EQ(Read("mkfs-arguments"),
            fmt::format("-zlz4\n{0}/base.erofs\n{0}/rootfs\n", directory_.path().native()));
  EXPECT_EQ(Read("mkfs-environment").find("SOURCE_DATE_EPOCH"), std::string::npos);
  EXPECT_EQ(Read("base.erofs"), "image\n");
  EXPECT_FALSE(fs::exists(directory_.path() / "rootfs"));
}

TEST_F(UnpackTest, AStrictUmaskIsNotTheImages) {
  const mode_t before = ::umask(077);
  tools_.Add("umoci", "umask > said-umask; mkdir rootfs");
  const auto sealed = Unpack();
  ::umask(before);
  ASSERT_TRUE(sealed) << sealed.error().message;
  EXPECT_EQ(Read("said-umask"), "0022\n");
}

TEST_F(UnpackTest, LayersReportHowFarTheyAreByTheirBytes) {
  std::vector<std::string> told;
  ASSERT_TRUE(Unpack([&told](const PullProgress& news) {
    if (!news.detail.empty()) {
      told.push_back(fmt::format("{} {} {:.2f}", news.phase, news.detail, news.fraction.value()));
    }
  }));
  EXPECT_EQ(told,
            (std::vector<std::string>{"extract layer 1 of 2 0.00", "extract layer 2 of 2 0.30",
                                      "seal usr 0.50", "seal usr/bin 1.00"}));
}

TEST_F(UnpackTest, WhatTheImageLosesIsNamed) {
  Unpacks(
      "   * rootless{dev/null} creating empty file in place of device 1:3\n"
      "   * rootless{opt/kvm} creating empty file in place of device 10:232\n"
      "   * rootless{opt/a\nb} creating empty file in place of device 1:5\n"
      "   * rootless{opt/\x1b[2J} creating empty file in place of device 1:7\n"
      "   * rootless{f} ignoring (usually) harmless EPERM on setxattr \"trusted.k\"\n"
      "   * rootless{g} ignoring (usually) harmless EPERM on setxattr \"trusted.k\"\n"
      "   * xattr{h} ignoring forbidden xattr: \"security.selinux\"\n"
      "   * xattr{h} ignoring ENOTSUP on setxattr \"system.odd\"\n");
  const auto sealed = Unpack();
  ASSERT_TRUE(sealed) << sealed.error().message;
  EXPECT_EQ(sealed->left_out,
            (std::vector<std::string>{"the device node /opt/kvm (10:232): it is an empty file",
                                      "the device node /b (1:5): it is an empty file",
                                      "the device node /opt/\\x1b[2J (1:7): it is an empty file",
                                      "the attribute security.selinux of /h",
                                      "the attribute system.odd of /h",
                                      "the attribute trusted.k of /f and 1 more"}));
}

TEST_F(UnpackTest, ManyLostDevicesAreCounted) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) {
    lines +=
        fmt::format("   * rootless{{d{}}} creating empty file in place of device 1:{}\n", i, i);
  }
  Unpacks(lines);
  const auto sealed = Unpack();
  ASSERT_TRUE(sealed) << sealed.error().message;
  ASSERT_EQ(sealed->left_out.size(), 101U);
  EXPECT_EQ(sealed->left_out.back(), "900 more device nodes");
}

TEST_F(UnpackTest, IdsThatTheUserMayNotGiveAreToldWithTheRemedy) {
  const Error error = FailureOf(
      "   x create rootfs: unpack layer: unpack entry: f: apply hdr metadata: restore "
      "chown metadata: rootfs/f: lchown rootfs/f: invalid argument");
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_NE(error.message.find("lchown rootfs/f"), std::string::npos) << error.message;
  EXPECT_NE(error.hint.find("as root"), std::string::npos);
  EXPECT_NE(error.hint.find("/etc/subuid"), std::string::npos);
}

TEST_F(UnpackTest, ABrokenLayerIsNamedByItsNumber) {
  const Error error = FailureOf(
      "   x create rootfs: unpack layer: unpack entry: b: link: no such file or directory");
  EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  EXPECT_EQ(error.message,
            "layer 1 of the image cannot be unpacked: b: link: no such file or directory");
}

TEST_F(UnpackTest, AFullDiskIsNoFaultOfTheImage) {
  EXPECT_EQ(FailureOf("   x create rootfs: unpack layer: unpack entry: f: unpack to regular file: "
                      "write rootfs/f: no space left on device")
                .code,
            ErrorCode::kNoSpace);
}

TEST_F(UnpackTest, OtherFailuresKeepTheToolsWords) {
  EXPECT_EQ(FailureOf("   x create rootfs: unpack layer: unpack entry: f: mknod rootfs/f: "
                      "operation not permitted")
                .code,
            ErrorCode::kPermissionDenied);
  const Error error = FailureOf("umoci: odd option");
  EXPECT_EQ(error.code, ErrorCode::kInternal);
  EXPECT_NE(error.message.find("umoci: odd option"), std::string::npos) << error.message;
  const Error crash =
      FailureOf("panic: d.nx != 0\n\ngoroutine 1 [running]:\n  main.go:158 +0xd18\n");
  EXPECT_EQ(crash.code, ErrorCode::kInternal);
  EXPECT_EQ(crash.message, "'umoci' failed: panic: d.nx != 0");
}

TEST_F(UnpackTest, ACrashThatHidesTheReasonIsTriedAgainWithOneThread) {
  tools_.Add("umoci",
             "mkdir rootfs || exit 3\n"
             "case $GOMAXPROCS in 1) echo '   x create rootfs: unpack layer: unpack entry: f: "
             "write rootfs/f: no space left on device'; exit 1;; esac\n"
             "echo 'panic: d.nx != 0'; exit 2");
  EXPECT_EQ(Unpack().error().code, ErrorCode::kNoSpace);
  tools_.Add("umoci", "case $GOMAXPROCS in 1) exit 0;; esac\necho 'panic: d.nx != 0'; exit 2");
  EXPECT_TRUE(Unpack()) << "there may be room by then";
}

TEST_F(UnpackTest, AFailedSealIsAnError) {
  tools_.Add("mkfs.erofs", "echo 'write: No space left on device' >&2; exit 1");
  EXPECT_EQ(Unpack().error().code, ErrorCode::kNoSpace);
}

TEST_F(UnpackTest, ANameThatTheSealCannotStoreIsTold) {
  const std::string fails = "echo '<E> erofs: [Error 2] No such file or directory' >&2; exit 1";
  tools_.Add("mkfs.erofs", fails);
  EXPECT_EQ(Unpack().error().code, ErrorCode::kInternal);
  tools_.Add("umoci",
             fmt::format("mkdir -p rootfs/usr && : > rootfs/usr/{}", std::string(255, 'n')));
  const auto failed = Unpack();
  EXPECT_EQ(failed.error().code, ErrorCode::kLimit);
  EXPECT_NE(failed.error().message.find("'/usr'"), std::string::npos) << failed.error().message;
}

TEST_F(UnpackTest, AMissingToolIsToldBeforeAnythingIsUnpacked) {
  tools_.Remove("mkfs.erofs");
  const auto failed = Unpack();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kMissingTool);
  EXPECT_FALSE(fs::exists(directory_.path() / "umoci-arguments"));
}

TEST_F(UnpackTest, ItCanBeStopped) {
  tools_.Add("umoci", "echo '   * unpack layer: sha256:1'; while :; do /bin/sleep 60; done");
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  const auto stopped = Unpack(
      [&stop](const PullProgress& news) {
        if (news.detail == "layer 1 of 2") stop->write.Reset();
      },
      {stop->read.get()});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace pyro::image
