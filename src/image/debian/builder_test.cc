#include "image/debian/builder.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "image/debian/kernel.h"
#include "image/testing/fake_tools.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

class BuilderTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(version());
    // Takes its own options off and becomes the program.
    tools_.Add("unshare",
               "while true; do case $1 in --version) exit 0;; --*) shift;; *) break;; esac; "
               "done\nexec \"$@\"");
    tools_.Add("newuidmap", "");
    tools_.Add("apt-get",
               "printf 'http://m.example/debian/\\tbookworm\\tbookworm\\tmain\\tDebian\\t/x:1\\n'");
    tools_.Add("apt-config", "");
    tools_.Add(
        "mmdebstrap",
        "case $1 in --version) echo 'mmdebstrap 1.2.3'; exit;; esac\n"
        "printf '%s\\n' \"$@\" > arguments\n"
        "echo 'I: running apt-get update...'\nmkdir -p rootfs/usr/bin rootfs/usr/lib/modules\n"
        ": > rootfs/usr/bin/git\n"
        ": > \"$PYRO_KERNEL_DIR/linux.deb\"");
    tools_.Add(
        "dpkg-deb",
        "case $1 in --show) printf 'linux-image-9-cloud\\n9.1\\n';;\n"
        "--info) printf 'sum  boot/vmlinuz-9-cloud\\nsum  lib/virtio.ko\\nsum  lib/blk.ko\\n';;\n"
        "--vextract) mkdir -p $3/boot $3/lib/modules/9-cloud; echo k > $3/boot/vmlinuz-9-cloud;\n"
        "printf './\\n./boot/\\n./boot/vmlinuz-9-cloud\\n./lib/virtio.ko\\n./lib/blk.ko\\n';\n"
        "for m in virtio blk; do echo $m > $3/lib/modules/9-cloud/$m.ko; done;; esac");
    tools_.Add("depmod", "umask 077; : > \"$2/lib/modules/$3/modules.dep\"");
    tools_.Add("mv", "exec /bin/mv \"$@\"");
    tools_.Add("modprobe",
               "echo \"insmod $2/lib/modules/9-cloud/virtio.ko \"\n"
               "case $6 in virtio_blk) echo \"insmod $2/lib/modules/9-cloud/blk.ko opt=1\";; esac");
    tools_.Add("dpkg-query", "printf 'git\\t1:2.39\\tamd64\\n'");
    // Prints as the real one does, onto a line that it writes over.
    tools_.Add("mkfs.erofs",
               "for a; do case $a in */base.erofs) echo image > \"$a\";; esac; done\ncd \"$a\"\n"
               "for f in $(/bin/find * | sort); do printf '\\r\\033[KProcessing %s ...' $f; done");
  }

  fs::path version() const { return directory_.path() / "version"; }

  Result<Manifest> Build(Cancellation cancel = {}, const ProgressFn& progress = {}) {
    DebianBuilder builder(tools_.paths(), {});
    return builder.Build(**FindCatalogEntry("debian:12"), directory_.path(), version(), progress,
                         cancel);
  }

  sys::TestDirectory directory_;
  FakeTools tools_{directory_.path()};
};

TEST_F(BuilderTest, RunsEveryStepAndDescribesTheResult) {
  const auto manifest = Build();
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->kernel_release, "9-cloud");
  EXPECT_EQ(manifest->kernel_package, "linux-image-9-cloud");
  EXPECT_EQ(manifest->kernel_package_version, "9.1");
  ASSERT_EQ(manifest->modules.size(), 2U);
  EXPECT_EQ(manifest->modules[0].name, "virtio.ko");
  EXPECT_EQ(manifest->modules[1].name, "blk.ko");
  EXPECT_EQ(manifest->packages[0].version, "1:2.39");
  EXPECT_EQ(manifest->tools.at("mmdebstrap"), "mmdebstrap 1.2.3");
  for (const char* file : {"base.erofs", "vmlinuz", "modules/virtio.ko", "modules/blk.ko"}) {
    EXPECT_TRUE(fs::exists(version() / file)) << file;
  }
  for (const char* file : {"virtio.ko", "blk.ko", "modules.dep"}) {
    EXPECT_TRUE(fs::exists(directory_.path() / "rootfs/usr/lib/modules/9-cloud" / file)) << file;
  }
  const auto index = fs::status(directory_.path() / "rootfs/usr/lib/modules/9-cloud/modules.dep");
  EXPECT_NE(index.permissions() & fs::perms::others_read, fs::perms::none);
  const std::string arguments = sys::ReadFile(directory_.path() / "arguments", 1 << 20).value();
  EXPECT_NE(arguments.find("--mode=root\n"), std::string::npos);
  EXPECT_NE(arguments.find("\nbookworm\n"), std::string::npos);
  EXPECT_NE(arguments.find("--include=git,ca-certificates,"), std::string::npos);
}

TEST_F(BuilderTest, TheKernelAndTheImageReportHowFarTheyAre) {
  std::map<std::string, std::vector<double>> fractions;
  std::string details;
  ASSERT_TRUE(Build({}, [&](const PullProgress& progress) {
    details += progress.detail + "\n";
    if (progress.fraction) fractions[progress.phase].push_back(*progress.fraction);
  }));
  EXPECT_EQ(fractions["seal"].size(), 9U);
  EXPECT_EQ(fractions["seal"].front(), 0.11);
  EXPECT_EQ(fractions["seal"].back(), 1);
  ASSERT_GE(fractions["kernel"].size(), 4U);
  EXPECT_TRUE(std::is_sorted(fractions["kernel"].begin(), fractions["kernel"].end()));
  EXPECT_EQ(fractions["kernel"].back(), 1);
  EXPECT_NE(details.find("unpack vmlinuz-9-cloud\n"), std::string::npos) << details;
  EXPECT_NE(details.find("usr/bin/git\n"), std::string::npos) << details;
}

// As the kernel package of Debian 13 has them.
class CompressedModules : public BuilderTest {
 protected:
  // `compress` is what makes each file, from its standard input.
  void SetUpPackage(std::string_view compress) {
    tools_.Add("dpkg-deb",
               "case $1 in --show) printf 'linux-image-9-cloud\\n9.1\\n';;\n"
               "--vextract) mkdir -p $3/boot $3/usr/lib/modules/9-cloud; echo k > "
               "$3/boot/vmlinuz-9-cloud;\n"
               "for m in virtio blk; do echo $m | " +
                   std::string(compress) + " > $3/usr/lib/modules/9-cloud/$m.ko.xz; done;; esac");
    tools_.Add("depmod", "test -d $2/lib/modules/$3");
    tools_.Add(
        "modprobe",
        "echo \"insmod $2/lib/modules/9-cloud/virtio.ko.xz \"\n"
        "case $6 in virtio_blk) echo \"insmod $2/lib/modules/9-cloud/blk.ko.xz o=1\";; esac");
  }
};

TEST_F(CompressedModules, OfUsrLibAreFoundAndDecompressed) {
  SetUpPackage("xz");
  const auto manifest = Build();
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_EQ(manifest->modules.size(), 2U);
  EXPECT_EQ(manifest->modules[0].name, "virtio.ko");
  EXPECT_EQ(sys::ReadFile(version() / "modules/virtio.ko", 100).value(), "virtio\n");
  EXPECT_EQ(sys::ReadFile(version() / "modules/blk.ko", 100).value(), "blk\n");
}

TEST_F(CompressedModules, ThatAreDamagedAreNoData) {
  for (const char* compress : {"cat", "xz | head -c 40"}) {
    SCOPED_TRACE(compress);
    fs::remove_all(directory_.path() / "kernel-files");
    SetUpPackage(compress);
    const auto manifest = Build();
    ASSERT_FALSE(manifest);
    EXPECT_EQ(manifest.error().code, ErrorCode::kDataLoss);
    EXPECT_NE(manifest.error().message.find("'virtio.ko.xz' is damaged"), std::string::npos)
        << manifest.error().message;
    fs::remove_all(version());
    fs::create_directory(version());
  }
}

TEST_F(BuilderTest, AKernelPackageWithoutModulesIsNoData) {
  tools_.Add("dpkg-deb", "case $1 in --show) printf 'linux-image-9-cloud\\n9.1\\n';; esac");
  const auto manifest = Build();
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kDataLoss);
}

TEST_F(BuilderTest, AMissingToolIsNamedBeforeAnythingRuns) {
  tools_.Remove("mkfs.erofs");
  const auto manifest = Build();
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kMissingTool);
  EXPECT_EQ(manifest.error().hint, "install it: sudo apt install erofs-utils");
  EXPECT_FALSE(fs::exists(directory_.path() / "arguments"));
  EXPECT_EQ(DebianBuilder(tools_.paths(), {}).MissingTools().size(), 1U);
}

TEST_F(BuilderTest, AnUnreachableMirrorIsUnavailable) {
  tools_.Add("mmdebstrap",
             "echo \"Err:1 http://m.example Could not resolve 'm.example'\" >&2; exit 25");
  const auto manifest = Build();
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kUnavailable);
}

TEST_F(BuilderTest, AMirrorOfAnotherReleaseThatFailsIsNamedAsOne) {
  tools_.Add("apt-get", "printf 'http://m.example/debian/\\tsid\\tsid\\tmain\\tDebian\\t/x:1\\n'");
  tools_.Add("mmdebstrap", "echo 'E: The repository does not have a Release file.' >&2; exit 25");
  const auto manifest = Build();
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(manifest.error().hint.find("Debian 'sid' lacks 'bookworm', let PYRO_APT_SOURCES name"),
            std::string::npos)
      << manifest.error().hint;
}

TEST_F(BuilderTest, AFullDiskIsNoSpaceInEveryStep) {
  for (const char* tool : {"mkfs.erofs", "dpkg-deb", "mmdebstrap"}) {
    fs::remove_all(directory_.path() / "rootfs");
    fs::remove_all(version());
    fs::create_directory(version());
    tools_.Add(tool, "echo 'write error: No space left on device' >&2; exit 1");
    const auto manifest = Build();
    ASSERT_FALSE(manifest) << tool;
    EXPECT_EQ(manifest.error().code, ErrorCode::kNoSpace) << tool;
  }
}

TEST_F(BuilderTest, StoppingKillsTheToolAndItsChildren) {
  tools_.Add("mmdebstrap",
             "sleep 1000 & echo $! > child\necho 'I: running apt-get update...'\nwait");
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  const auto manifest = Build({stop->read.get()}, [&](const PullProgress& progress) {
    if (progress.phase == "update") stop->write.Reset();
  });
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kCancelled);
  const pid_t child = std::stoi(sys::ReadFile(directory_.path() / "child", 100).value());
  // Gone, or dead and waiting for init to reap it: either way it runs no more. The signal has been
  // sent, but a busy host takes a moment to end the process.
  const auto ended = [child] {
    const auto stat = sys::ReadFile("/proc/" + std::to_string(child) + "/stat", 4096);
    return !stat || stat->find(") Z") != std::string::npos ||
           stat->find(") X") != std::string::npos;
  };
  for (int i = 0; i < 3000 && !ended(); ++i) ::poll(nullptr, 0, 10);
  EXPECT_TRUE(ended());
}

TEST_F(BuilderTest, StoppingEndsAToolThatIsOnlyAsked) {
  tools_.Add("apt-config", "exec sleep 600");
  auto stop = sys::MakePipe();
  ASSERT_TRUE(stop);
  stop->write.Reset();
  const auto manifest = Build({stop->read.get()});
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(fs::exists(directory_.path() / "arguments"));
}

TEST_F(BuilderTest, EndlessOutputIsBounded) {
  tools_.Add("mmdebstrap", "head -c 20000000 /dev/zero; echo; echo 'E: at the end' >&2; exit 3");
  const auto manifest = Build();
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().message, "'mmdebstrap' failed: E: at the end");
}

TEST(ShowDepends, TakesPathsWithSpacesAndDropsOptions) {
  const auto paths = ParseShowDepends(
      "builtin ext4\ninsmod /a b/x.ko \ninsmod /a b/y.ko opt=1\ninsmod nothing\n"
      "insmod /a b/z.ko.xz \ninsmod /a b/w.ko.xz opt=1\n");
  EXPECT_EQ(paths,
            (std::vector<fs::path>{"/a b/x.ko", "/a b/y.ko", "/a b/z.ko.xz", "/a b/w.ko.xz"}));
}

}  // namespace
}  // namespace pyro::image
