// Layers of an image, one after another, as the tree of a disk.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "agent/file_program.h"
#include "agent/tar_format.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::agent {
namespace {

namespace fs = std::filesystem;
using Type = TarEntry::Type;

TarEntry Make(Type type, std::string name, std::string target = "") {
  TarEntry entry;
  entry.type = type;
  entry.name = std::move(name);
  entry.target = std::move(target);
  entry.mode = type == Type::kDirectory ? 0755 : 0644;
  entry.uid = ::geteuid();
  entry.gid = ::getegid();
  entry.seconds = 1'600'000'000;
  entry.size = type == Type::kFile ? 1 : 0;
  return entry;
}

TarEntry File(std::string name) { return Make(Type::kFile, std::move(name)); }
TarEntry Dir(std::string name) { return Make(Type::kDirectory, std::move(name)); }

class GuestLayerTest : public ::testing::Test {
 protected:
  GuestLayerTest() { fs::create_directories(tree_.parent_path()); }

  // Every file has the one byte `content`. Returns the errno of the operation.
  int Apply(const std::vector<TarEntry>& entries, char content = '1') {
    std::string tar;
    for (const TarEntry& entry : entries) {
      tar += TarHeader(entry);
      if (entry.size == 0) continue;
      tar += content + std::string(TarPadding(1), '\0');
    }
    return ApplyTar(tar + TarEnd());
  }

  int ApplyTar(const std::string& tar) {
    wire::FileRequest request;
    request.operation = wire::FileOperation::kUnpack;
    request.path = "image";
    request.layer = true;
    request.make = !fs::exists(tree_);
    request.durable = true;
    const sys::UniqueFd in = *sys::MakeMemoryFile(tar);
    const sys::UniqueFd disk = *sys::OpenFile(tree_.parent_path(), O_PATH | O_DIRECTORY);
    end_ = CarryOut(request, {in.get(), -1, disk.get()});
    return static_cast<int>(end_.error);
  }

  bool Has(std::string_view name) const { return fs::exists(fs::symlink_status(tree_ / name)); }
  std::string Text(std::string_view name) const {
    return sys::ReadFile(tree_ / name, 100).value_or("none");
  }
  struct stat Stat(std::string_view name) const {
    struct stat info {};
    EXPECT_EQ(::lstat((tree_ / name).c_str(), &info), 0) << name;
    return info;
  }

  const sys::TestDirectory directory_;
  const fs::path tree_ = directory_.path() / "disk" / "image";
  wire::FileEnd end_;
};

TEST_F(GuestLayerTest, AWhiteoutRemovesWhatIsBelowAndNothingOfItsOwnLayer) {
  ASSERT_EQ(Apply({Dir("a"), File("a/gone"), File("a/kept"), Dir("a/tree"), File("a/tree/low"),
                   File("a/again")}),
            0);
  ASSERT_EQ(
      Apply({File("a/.wh.gone"), Dir("a/tree"), File("a/tree/high"), File("a/.wh.tree"),
             File("a/again"), File("a/.wh.again"), File("a/.wh.never"), File("nowhere/.wh.x")},
            '2'),
      0);
  EXPECT_FALSE(Has("a/gone"));
  EXPECT_TRUE(Has("a/kept"));
  EXPECT_FALSE(Has("a/tree/low"));
  EXPECT_EQ(Text("a/tree/high"), "2");
  EXPECT_EQ(Text("a/again"), "2");
  EXPECT_FALSE(Has("nowhere"));
  EXPECT_FALSE(Has("a/.wh.gone"));
}

TEST_F(GuestLayerTest, AnOpaqueDirectoryHasWhatItsLayerHas) {
  ASSERT_EQ(Apply({Dir("a"), File("a/low"), Dir("a/sub"), File("a/sub/low")}), 0);
  ASSERT_EQ(Apply({Dir("a"), Dir("a/sub"), File("a/sub/high"), File("a/.wh..wh..opq"),
                   File("a/high"), File("b/.wh..wh..opq")}),
            0);
  EXPECT_FALSE(Has("a/low"));
  EXPECT_FALSE(Has("a/sub/low"));
  EXPECT_TRUE(Has("a/sub/high"));
  EXPECT_TRUE(Has("a/high"));
  EXPECT_FALSE(Has("b"));
}

TEST_F(GuestLayerTest, AnotherKindReplacesATree) {
  ASSERT_EQ(Apply({Dir("a"), Dir("a/b"), File("a/b/c"), File("f"), Make(Type::kSymlink, "l", "a")}),
            0);
  ASSERT_EQ(Apply({File("a"), Dir("f"), File("f/x"), Dir("l"), File("l/y")}, '2'), 0);
  EXPECT_EQ(Text("a"), "2");
  EXPECT_EQ(Text("f/x"), "2");
  EXPECT_TRUE(S_ISDIR(Stat("l").st_mode));
  // In one layer, too.
  ASSERT_EQ(Apply({Dir("m"), Dir("m/n"), File("m/n/o"), File("m"), Dir("m2"), File("m2/x")}), 0);
  EXPECT_TRUE(S_ISREG(Stat("m").st_mode));
}

TEST_F(GuestLayerTest, ALinkOnTheWayLeadsWhereItLeadsInTheImage) {
  ASSERT_EQ(Apply({Dir("usr"), Dir("usr/lib"), Make(Type::kSymlink, "lib", "usr/lib"),
                   Make(Type::kSymlink, "abs", "/usr/lib"),
                   Make(Type::kSymlink, "up", "../../../../usr")}),
            0);
  ASSERT_EQ(Apply({File("lib/one"), File("abs/two"), File("up/three"), File("lib/sub/four")}), 0);
  EXPECT_TRUE(S_ISLNK(Stat("lib").st_mode));
  for (const char* name : {"usr/lib/one", "usr/lib/two", "usr/three", "usr/lib/sub/four"}) {
    EXPECT_EQ(Text(name), "1") << name;
  }
  EXPECT_EQ(Stat("usr/lib").st_mtim.tv_sec, 1'600'000'000) << "its layer says nothing of it";
  ASSERT_EQ(Apply({File("lib/.wh.one")}), 0);
  EXPECT_FALSE(Has("usr/lib/one"));
}

TEST_F(GuestLayerTest, ADirectoryKeepsItsTimeUnlessALayerSaysAnother) {
  TarEntry dir = Dir("a");
  dir.seconds = 1'500'000'000;
  dir.nanoseconds = 123'456'789;
  dir.mode = 02751;
  ASSERT_EQ(Apply({dir, File("a/x"), File("a/y")}), 0);
  EXPECT_EQ(Stat("a").st_mtim.tv_nsec, 123'456'789);
  ASSERT_EQ(Apply({File("a/z"), File("a/.wh.x")}), 0);
  EXPECT_EQ(Stat("a").st_mtim.tv_sec, 1'500'000'000);
  EXPECT_EQ(Stat("a").st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(Stat("a").st_mode & 07777, 02751U);
  dir.seconds = 5;
  dir.mode = 0;
  ASSERT_EQ(Apply({dir, File("a/w")}), 0);
  EXPECT_EQ(Stat("a").st_mtim.tv_sec, 5);
  EXPECT_EQ(Stat("a").st_mode & 07777, 0U);
}

TEST_F(GuestLayerTest, OwnersDevicesAndHardLinks) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may make them";
  TarEntry high = File("high");
  high.uid = 1'200'000'001;
  high.gid = 65'536;
  high.mode = 04755;
  TarEntry zero = Make(Type::kCharacterDevice, "zero");
  zero.device_major = 1;
  zero.device_minor = 5;
  zero.mode = 0640;
  TarEntry disk = Make(Type::kBlockDevice, "disk");
  disk.device_major = 8;
  TarEntry link = Make(Type::kSymlink, "soft", "nowhere");
  link.uid = 33;
  link.nanoseconds = 7;
  ASSERT_EQ(Apply({high, zero, disk, link, Make(Type::kFifo, "pipe")}), 0);
  ASSERT_EQ(Apply({Make(Type::kHardLink, "again", "high"), Make(Type::kHardLink, "soft2", "soft")}),
            0);
  EXPECT_EQ(Stat("high").st_uid, 1'200'000'001U);
  EXPECT_EQ(Stat("high").st_gid, 65'536U);
  EXPECT_EQ(Stat("high").st_mode, S_IFREG | 04755U);
  EXPECT_EQ(Stat("again").st_ino, Stat("high").st_ino);
  EXPECT_EQ(Stat("zero").st_mode, S_IFCHR | 0640U);
  EXPECT_EQ(Stat("zero").st_rdev, makedev(1, 5));
  EXPECT_EQ(Stat("disk").st_rdev, makedev(8, 0));
  EXPECT_TRUE(S_ISFIFO(Stat("pipe").st_mode));
  EXPECT_EQ(Stat("soft").st_uid, 33U);
  EXPECT_EQ(Stat("soft").st_mtim.tv_sec, 1'600'000'000);
  EXPECT_EQ(Stat("soft").st_mtim.tv_nsec, 7);
  EXPECT_TRUE(S_ISLNK(Stat("soft2").st_mode));
}

TEST_F(GuestLayerTest, AttributesAreThoseOfTheLastLayer) {
  TarEntry file = File("f");
  const std::string value("a\0=b\n", 5);
  file.attributes = {{"user.some", value}};
  TarEntry dir = Dir("d");
  dir.attributes = {{"user.low", "1"}};
  ASSERT_EQ(Apply({file, dir}), 0);
  if (!end_.notes.empty()) GTEST_SKIP() << "the file system has no extended attributes";
  const auto get = [&](std::string_view name, const char* key) {
    char text[100];
    const ssize_t n = ::lgetxattr((tree_ / name).c_str(), key, text, sizeof text);
    return n < 0 ? std::string("none") : std::string(text, static_cast<std::size_t>(n));
  };
  EXPECT_EQ(get("f", "user.some"), value);
  EXPECT_EQ(get("d", "user.low"), "1");
  ASSERT_EQ(Apply({File("d/x")}), 0);
  EXPECT_EQ(get("d", "user.low"), "1") << "the layer says nothing of it";
  dir.attributes = {{"user.high", "2"}};
  TarEntry odd = File("odd");
  odd.attributes = {{"strange.name", "x"}};
  ASSERT_EQ(Apply({File("f"), dir, odd}), 0);
  EXPECT_EQ(get("f", "user.some"), "none");
  EXPECT_EQ(get("d", "user.low"), "none");
  EXPECT_EQ(get("d", "user.high"), "2");
  ASSERT_EQ(end_.notes.size(), 1U);
  EXPECT_EQ(end_.notes[0].names[0].name, "odd");
  EXPECT_EQ(end_.notes[0].count, 1);
}

TEST_F(GuestLayerTest, NothingLeavesTheTree) {
  const fs::path outside = directory_.path() / "outside";
  fs::create_directories(outside);
  std::ofstream(outside / "secret") << "secret";
  struct Case {
    std::vector<TarEntry> entries;
    int error;
  };
  for (const Case& one : std::initializer_list<Case>{
           {{File("../x")}, EPROTO},
           {{File("/x")}, EPROTO},
           {{Make(Type::kHardLink, "h", "../../outside/secret")}, EPROTO},
           {{File("a/.wh..")}, EPROTO},
           {{File("a/.wh...")}, EPROTO},
           {{File(".wh.")}, EPROTO},
           {{Make(Type::kSymlink, "l", outside), File("l/x")}, ENOENT},
           {{Make(Type::kSymlink, "l", outside), File("l/.wh.secret")}, 0},
           {{Make(Type::kSymlink, "l", outside), File("l/.wh..wh..opq")}, 0},
           {{Make(Type::kSymlink, "l", outside), Make(Type::kHardLink, "h", "l/secret")}, ENOENT},
           {{Make(Type::kSymlink, "l", "../../outside"), File("l/.wh.secret")}, 0},
           {{Make(Type::kSymlink, "l", "l"), File("l/x")}, ELOOP},
           {{File("f"), File("f/x")}, ENOTDIR},
           {{Make(Type::kHardLink, "h", "absent")}, ENOENT},
           {{Make(Type::kHardLink, "h", "")}, EPROTO},
           {{File("")}, EPROTO}}) {
    fs::remove_all(tree_);
    EXPECT_EQ(Apply(one.entries), one.error) << one.entries.front().name;
    EXPECT_TRUE(fs::exists(outside / "secret"));
    EXPECT_EQ(fs::hard_link_count(outside / "secret"), 1U);
    EXPECT_EQ(std::distance(fs::directory_iterator(outside), {}), 1);
    EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), {}), 2);
    EXPECT_EQ(std::distance(fs::directory_iterator(tree_.parent_path()), {}), 1);
  }
  EXPECT_EQ(ApplyTar("no tar"), EPROTO);
}

TEST_F(GuestLayerTest, AnErrorNamesThePathInTheImage) {
  ASSERT_EQ(Apply({Make(Type::kHardLink, "etc/h", "etc/absent")}), ENOENT);
  EXPECT_EQ(end_.path, "/etc/absent");
}

TEST_F(GuestLayerTest, WithoutADiskThereIsNoLayer) {
  wire::FileRequest request;
  request.operation = wire::FileOperation::kUnpack;
  request.path = "image";
  request.layer = true;
  EXPECT_EQ(CarryOut(request, {-1, -1, -1}).error, EBADF);
}

}  // namespace
}  // namespace pyro::agent
