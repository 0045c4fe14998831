// Trees as tars and back, beside what GNU tar makes of them.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/file_program.h"
#include "agent/tar_format.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::agent {
namespace {

namespace fs = std::filesystem;

class TarTest : public ::testing::Test {
 protected:
  TarTest() { fs::create_directories(source_); }

  static void Write(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  static void SetTime(const fs::path& path, std::int64_t seconds, long nanoseconds) {
    const timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }

  // Of all kinds, with what a tar has to keep of each.
  void FillSource() const {
    Write(source_ / "file", "text\n");
    SetTime(source_ / "file", 1'000'000'000, 123'456'789);
    ::chmod((source_ / "file").c_str(), 0604);
    fs::create_hard_link(source_ / "file", source_ / "hard");
    fs::create_symlink("file", source_ / "soft");
    fs::create_symlink(std::string(300, 'x'), source_ / "dangling");
    fs::create_hard_link(source_ / "dangling", source_ / "dangling too");
    SetTime(source_ / "soft", 1'000'000'001, 5);
    Write(source_ / " a\nb'\xff\t*", "odd");
    Write(source_ / std::string(200, 'n'), "long");
    Write(source_ / std::string(120, 'p') / std::string(120, 'q') / "deep", "deep");
    Write(source_ / "empty", "");
    SetTime(source_ / "empty", -2, 500'000'000);  // A second and a half before 1970.
    Write(source_ / "large", std::string(300'000, 'z') + "end");
    Write(source_ / "setuid", "s");
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown((source_ / "setuid").c_str(), 3'000'000, 70'000), 0);
    }
    ::chmod((source_ / "setuid").c_str(), 04755);
    ::mkfifo((source_ / "pipe").c_str(), 0620);
    const sys::UniqueFd sparse = *sys::OpenFile(source_ / "sparse", O_RDWR | O_CREAT);
    ASSERT_EQ(::ftruncate(sparse.get(), 64 << 20), 0);
    ASSERT_EQ(::pwrite(sparse.get(), "middle", 6, 32 << 20), 6);
    const sys::UniqueFd hole = *sys::OpenFile(source_ / "hole", O_RDWR | O_CREAT);
    ASSERT_EQ(::ftruncate(hole.get(), 1 << 20), 0);
    fs::create_directories(source_ / "dir" / "inner");
    ::chmod((source_ / "dir").c_str(), 0750);
    SetTime(source_ / "dir", 1'234'567'890, 1);
    SetTime(source_, 1'234'567'891, 2);
  }

  // A line for each entry: what a copy must be equal in.
  static std::vector<std::string> Tree(const fs::path& root) {
    std::vector<std::string> lines = {Line(root, root)};
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      lines.push_back(Line(root, entry.path()));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  static std::string Line(const fs::path& root, const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0);
    const bool file = S_ISREG(info.st_mode);
    std::string line =
        fmt::format("{} {:o} {}:{} {}.{:09} {}", path.lexically_relative(root).native(),
                    info.st_mode, info.st_uid, info.st_gid, info.st_mtim.tv_sec,
                    info.st_mtim.tv_nsec, file ? info.st_size : 0);
    if (!S_ISDIR(info.st_mode)) line += fmt::format(" links {}", info.st_nlink);
    if (S_ISLNK(info.st_mode)) line += " -> " + fs::read_symlink(path).native();
    if (file) {
      line += fmt::format(" {} blocks", info.st_blocks < 1000 ? "few" : "many");
      line += fmt::format(" {:x}", std::hash<std::string>()(*sys::ReadFile(path, 1 << 27)));
    }
    return line;
  }

  wire::FileEnd Run(wire::FileRequest request, const std::string& input, std::string* output) {
    const sys::UniqueFd in = *sys::MakeMemoryFile(input);
    const sys::UniqueFd out = *sys::MakeMemoryFile("");
    wire::FileEnd end = CarryOut(request, {in.get(), out.get(), -1});
    ::lseek(out.get(), 0, SEEK_SET);
    if (output != nullptr) *output = *sys::ReadAll(out.get(), 1 << 28);
    return end;
  }

  std::string Pack(const std::string& paths = "", bool listed = false, bool xattrs = false) {
    wire::FileRequest request;
    request.operation = wire::FileOperation::kPack;
    request.path = source_;
    request.listed = listed;
    request.xattrs = xattrs;
    std::string tar;
    end_ = Run(request, paths, &tar);
    EXPECT_EQ(end_.error, 0) << end_.path;
    return tar;
  }

  wire::FileEnd Unpack(const std::string& tar, const fs::path& target, bool keep = false,
                       bool make = false) {
    wire::FileRequest request;
    request.operation = wire::FileOperation::kUnpack;
    request.path = target;
    request.keep = keep;
    request.make = make;
    return Run(request, tar, nullptr);
  }

  // What GNU tar prints, of the tar on its stdin.
  std::string Gnu(const std::string& tar, const std::string& words) const {
    Write(directory_.path() / "stream", tar);
    const std::string out = directory_.path() / "printed";
    const std::string line = fmt::format("export LC_ALL=C; {{ tar {}; }} < {} > {} 2>&1", words,
                                         (directory_.path() / "stream").native(), out);
    EXPECT_EQ(std::system(line.c_str()), 0) << *sys::ReadFile(out, 1 << 20);
    return *sys::ReadFile(out, 1 << 20);
  }

  // A tar of one entry after another.
  static std::string Tar(const std::vector<TarEntry>& entries) {
    std::string tar;
    for (const TarEntry& entry : entries) {
      tar += TarHeader(entry);
      if (entry.size > 0) {
        tar += std::string(static_cast<std::size_t>(entry.size), 'c');
        tar += std::string(TarPadding(entry.size), '\0');
      }
    }
    return tar + TarEnd();
  }
  static TarEntry Make(TarEntry::Type type, std::string name, std::string target = "",
                       std::int64_t size = 0) {
    TarEntry entry;
    entry.type = type;
    entry.name = std::move(name);
    entry.target = std::move(target);
    entry.mode = type == TarEntry::Type::kDirectory ? 0755 : 0644;
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    entry.size = size;
    return entry;
  }

  const sys::TestDirectory directory_;
  const fs::path source_ = directory_.path() / "source";
  const fs::path target_ = directory_.path() / "target";
  wire::FileEnd end_;
};

TEST_F(TarTest, GnuTarMakesTheSameTreeOfIt) {
  FillSource();
  fs::create_directories(target_);
  EXPECT_EQ(Gnu(Pack(), fmt::format("--warning=no-timestamp -xpf - -C {}", target_.native())), "");
  EXPECT_EQ(Tree(target_), Tree(source_));
  EXPECT_EQ(end_.entries, std::ssize(Tree(source_)));
}

TEST_F(TarTest, ATreeComesOutAsItWentIn) {
  FillSource();
  const wire::FileEnd end = Unpack(Pack(), target_, false, true);
  ASSERT_EQ(end.error, 0) << end.path;
  EXPECT_EQ(Tree(target_), Tree(source_));
  // Once more over itself: hard links stay such.
  EXPECT_EQ(Unpack(Pack(), target_).error, 0);
  EXPECT_EQ(Tree(target_), Tree(source_));
  EXPECT_EQ(Unpack(Pack(), target_, false, true).error, EEXIST);
}

TEST_F(TarTest, WhatGnuTarWritesAsPaxIsRead) {
  FillSource();
  const fs::path tar = directory_.path() / "gnu.tar";
  const std::string line = fmt::format("tar --format=pax --sparse --numeric-owner -C {} -cf {} .",
                                       source_.native(), tar.native());
  ASSERT_EQ(std::system(line.c_str()), 0);
  const wire::FileEnd end = Unpack(*sys::ReadFile(tar, 1 << 28), target_, false, true);
  ASSERT_EQ(end.error, 0) << end.path;
  EXPECT_EQ(Tree(target_), Tree(source_));
}

TEST_F(TarTest, WhatIsInTheWayIsReplacedAsGnuTarDoesIt) {
  using Type = TarEntry::Type;
  const std::string tar = Tar({Make(Type::kDirectory, "sub"), Make(Type::kFile, "sub/f", "", 3),
                               Make(Type::kFile, "top", "", 3)});
  const fs::path outside = directory_.path() / "outside";
  struct Case {
    const char* before;  // Run in the target.
    const char* after;   // Succeeds there.
    int error = 0;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"ln -s ../outside sub",
            "test ! -L sub && test -f sub/f && test -z \"$(ls ../outside)\""},
           {"echo old > sub", "test -f sub/f"},
           {"mkdir top", "test -f top"},
           {"mkdir -p top/x", "test -d top/x", EISDIR},
           {"touch ../outside/k; ln -s ../outside/k top",
            "test ! -L top && test ! -s ../outside/k"},
           {"mkdir sub; chmod 700 sub; touch sub/old",
            "test -f sub/old && test \"$(stat -c %a sub)\" = 700"}}) {
    fs::remove_all(target_);
    fs::remove_all(outside);
    fs::create_directories(target_);
    fs::create_directories(outside);
    const auto run = [&](const char* what) {
      return std::system(fmt::format("cd {} && {}", target_.native(), what).c_str());
    };
    ASSERT_EQ(run(one.before), 0);
    EXPECT_EQ(Unpack(tar, target_, true).error, one.error) << one.before;
    EXPECT_EQ(run(one.after), 0) << one.before;
  }
  // Without `keep` a directory that is there has the tar's attributes.
  ASSERT_EQ(::chmod((target_ / "sub").c_str(), 0700), 0);
  EXPECT_EQ(Unpack(tar, target_).error, 0);
  EXPECT_EQ(fs::status(target_ / "sub").permissions(), fs::perms{0755});
}

TEST_F(TarTest, NothingLeavesTheTargetAndNoBrokenStreamIsTaken) {
  using Type = TarEntry::Type;
  const std::string whole = Tar({Make(Type::kFile, "a", "", 700), Make(Type::kFile, "b", "", 5)});
  std::string changed = whole;
  changed[0] = 'x';
  const fs::path outside = directory_.path() / "outside";
  for (const auto& [tar, error] : std::initializer_list<std::pair<std::string, int>>{
           {Tar({Make(Type::kFile, "../x", "", 1)}), EPROTO},
           {Tar({Make(Type::kFile, "a/../../x", "", 1)}), EPROTO},
           {Tar({Make(Type::kFile, outside / "x", "", 1)}), EPROTO},
           {Tar({Make(Type::kSymlink, "l", outside), Make(Type::kFile, "l/x", "", 1)}), ENOTDIR},
           {Tar({Make(Type::kHardLink, "h", "../outside/secret")}), EPROTO},
           {Tar({Make(Type::kSymlink, "l", outside), Make(Type::kHardLink, "h", "l/secret")}),
            ENOTDIR},
           {Tar({Make(Type::kFile, "", "", 1)}), EPROTO},
           {changed, EPROTO},
           {whole.substr(0, 512), EPROTO},
           {whole.substr(0, 900), EPROTO},
           {whole.substr(0, whole.size() - 1024), EPROTO},
           {"", EPROTO},
           {std::string(5000, 'x'), EPROTO}}) {
    fs::remove_all(target_);
    fs::create_directories(target_);
    Write(outside / "secret", "secret");
    EXPECT_EQ(Unpack(tar, target_).error, error) << tar.substr(0, 20);
    EXPECT_EQ(Tree(outside).size(), 2U);
    EXPECT_EQ(fs::hard_link_count(outside / "secret"), 1U);
    EXPECT_FALSE(fs::exists(directory_.path() / "x"));
  }
  EXPECT_EQ(Unpack(whole, target_).error, 0);
  EXPECT_EQ(Unpack(whole, directory_.path() / "absent").error, ENOENT);
}

TEST_F(TarTest, PathsAreLeftOutOrAreAllThatIsTaken) {
  for (const char* path : {"a/b/c", "a/d", "e/f", "g"}) Write(source_ / path, "x");
  fs::create_hard_link(source_ / "g", source_ / "h");
  const std::string left_out("a/b\0e/\0absent\0", 14);
  EXPECT_EQ(Gnu(Pack(left_out), "-tf -"), ".\na\na/d\ne\ng\nh\n");
  const std::string listed("e/f\0g\0h\0absent\0a/b/gone\0", 24);
  EXPECT_EQ(Gnu(Pack(listed, true), "-tvf - | cut -c1"), "-\n-\n-\n");
  ASSERT_EQ(end_.notes.size(), 1U);
  EXPECT_EQ(end_.notes[0].kind, wire::FileNoteKind::kChanged);
  EXPECT_EQ(end_.notes[0].count, 2);
  EXPECT_EQ(end_.notes[0].names[0].name, "absent");
}

TEST_F(TarTest, AFileIsPackedUnderItsNameAndALinkToItIsFollowed) {
  Write(source_ / "file", "text");
  fs::create_symlink("source/file", directory_.path() / "link");
  wire::FileRequest request;
  request.operation = wire::FileOperation::kPack;
  request.path = directory_.path() / "link";
  std::string tar;
  EXPECT_EQ(Run(request, "", &tar).error, 0);
  EXPECT_EQ(Gnu(tar, "-xOf - link"), "text");
  request.path = source_;
  request.to = "top";
  EXPECT_EQ(Run(request, "", &tar).error, 0);
  EXPECT_EQ(Gnu(tar, "-tf -"), "top\ntop/file\n");
  request.path = source_ / "absent";
  EXPECT_EQ(Run(request, "", &tar).error, ENOENT);
  ::mkfifo((source_ / "pipe").c_str(), 0600);
  request.path = source_ / "pipe";
  EXPECT_EQ(Run(request, "", &tar).error, EINVAL);
}

TEST_F(TarTest, AFileThatTheKernelMakesUpIsPackedWithAllThatItHolds) {
  wire::FileRequest request;
  request.operation = wire::FileOperation::kPack;
  for (const char* path : {"/proc/sys/kernel/ostype", "/proc/version"}) {
    request.path = path;
    std::string tar;
    const wire::FileEnd end = Run(request, "", &tar);
    EXPECT_EQ(end.error, 0) << path;
    EXPECT_TRUE(end.notes.empty());
    EXPECT_EQ(Gnu(tar, "-xOf -"), *sys::ReadFile(path, 1 << 20));
  }
  Write(source_ / "empty", "");
  request.path = source_ / "empty";
  std::string tar;
  EXPECT_EQ(Run(request, "", &tar).error, 0);
  EXPECT_EQ(Gnu(tar, "-tf -"), "empty\n");
}

TEST_F(TarTest, ExtendedAttributesAreRecordsIfTheyAreWanted) {
  Write(source_ / "file", "text");
  const std::string value("a\0b\n", 4);
  if (::setxattr((source_ / "file").c_str(), "user.some", value.data(), value.size(), 0) != 0) {
    GTEST_SKIP() << "the file system of temporary files has no extended attributes";
  }
  const std::string record = "SCHILY.xattr.user.some=" + value;
  EXPECT_EQ(Pack().find(record), std::string::npos);
  const std::string tar = Pack("", false, true);
  EXPECT_NE(tar.find(record), std::string::npos);
  EXPECT_EQ(Gnu(tar, "--xattrs --xattrs-include='*' -tvvf - | grep -c user.some"), "1\n");
  EXPECT_TRUE(end_.notes.empty());
}

TEST_F(TarTest, AttributesThatARecordCannotHoldAreToldAndNotChanged) {
  Write(source_ / "file", "text");
  const std::string file = source_ / "file";
  if (::setxattr(file.c_str(), "user.a=b", "c", 1, 0) != 0) {
    GTEST_SKIP() << "the file system of temporary files has no extended attributes";
  }
  ASSERT_EQ(::setxattr(file.c_str(), "user.empty", "", 0, 0), 0);
  ASSERT_EQ(::setxattr(file.c_str(), "user.fine", "x", 1, 0), 0);
  const std::string tar = Pack("", false, true);
  EXPECT_NE(tar.find("SCHILY.xattr.user.fine=x\n"), std::string::npos);
  EXPECT_EQ(tar.find("user.a"), std::string::npos);
  EXPECT_EQ(tar.find("user.empty"), std::string::npos);
  ASSERT_EQ(end_.notes.size(), 1U);
  EXPECT_EQ(end_.notes[0].kind, wire::FileNoteKind::kAttributes);
  EXPECT_EQ(end_.notes[0].names[0].name, "file");
}

}  // namespace
}  // namespace pyro::agent
