#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "archive/names.h"
#include "archive/test_support.h"
#include "sys/child_process.h"
#include "sys/file_digest.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class WriteTreeTest : public ::testing::Test {
 protected:
  WriteTreeTest() { fs::create_directory(source_); }
  ~WriteTreeTest() override {
    for (const auto& tree : {source_, dest_}) {  // As another user than root.
      if (fs::exists(tree / "a/b")) fs::permissions(tree / "a/b", fs::perms::owner_all);
    }
  }

  Result<Summary> Pack(int fd, const Operation& operation = {}) {
    return WriteTree(source_, fd, operation);
  }

  // Into a descriptor that can be read again.
  std::string PackWhole() {
    const sys::UniqueFd fd = FdOf("");
    summary_ = Pack(fd.get()).value();
    return ReadBack(fd.get());
  }

  sys::TestDirectory directory_;
  const fs::path source_ = directory_.path() / "source";
  const fs::path dest_ = directory_.path() / "dest";
  Summary summary_;
};

TEST_F(WriteTreeTest, ANastyTreeComesBackAsItWas) {
  MakeNastyTree(source_);
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  std::thread packer([&] {
    EXPECT_TRUE(Pack(pipe->write.get()).ok());
    pipe->write.Reset();
  });
  auto staged = Receive(pipe->read.get(), {dest_, ExportKind::kDirectory});
  packer.join();
  ASSERT_TRUE(staged.ok()) << staged.error().message;
  ASSERT_TRUE(staged->Commit().ok());
  const auto before = Describe(source_);
  const auto after = Describe(dest_);
  EXPECT_EQ(before.size(), after.size());
  for (const auto& [name, text] : before) {
    EXPECT_TRUE(after.contains(name)) << name;
    if (after.contains(name)) {
      EXPECT_EQ(after.at(name), text) << name;
    }
  }
  EXPECT_LE(DiskBytes(dest_ / "sparse"), DiskBytes(source_ / "sparse"));
  EXPECT_EQ(DiskBytes(dest_ / "hole"), 0);
  EXPECT_LT(staged->summary().bytes, 2u << 20);
}

TEST_F(WriteTreeTest, GnuTarReadsIt) {
  MakeNastyTree(source_);
  const fs::path archive = directory_.path() / "a.tar";
  {
    const auto fd = sys::OpenFile(archive, O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(Pack(fd->get()).ok());
  }
  fs::create_directory(dest_);
  sys::SpawnOptions options;
  options.argv = {"/bin/tar", "-xpf", archive, "--warning=no-unknown-keyword", "-C", dest_};
  auto tar = sys::ChildProcess::Spawn(std::move(options));
  ASSERT_TRUE(tar.ok());
  EXPECT_EQ(tar->Wait(Deadline::Never())->code, 0);
  EXPECT_EQ(Describe(dest_), Describe(source_));
  EXPECT_LE(DiskBytes(dest_ / "sparse"), DiskBytes(source_ / "sparse"));
}

TEST_F(WriteTreeTest, TheSameTreeMakesTheSameStreamOwnedByRoot) {
  MakeNastyTree(source_);
  const std::string once = PackWhole();
  EXPECT_TRUE(once == PackWhole());
  EXPECT_EQ(once.substr(108, 6), "000000");
  EXPECT_EQ(once.substr(116, 6), "000000");
  EXPECT_EQ(summary_.bytes, once.size());
}

TEST_F(WriteTreeTest, TheSizesOfFilesAreCountedWithTheirHolesAndEachFileOnce) {
  WriteFile(source_ / "f", "12345");
  fs::create_hard_link(source_ / "f", source_ / "same");
  fs::create_symlink("f", source_ / "link");
  WriteFile(source_ / "hole", "");
  fs::resize_file(source_ / "hole", 1 << 20);
  (void)PackWhole();
  EXPECT_EQ(summary_.content_bytes, 5u + (1u << 20));
}

TEST_F(WriteTreeTest, SocketsAreSkippedAndFifosWritten) {
  const std::string path = source_ / "socket";
  sockaddr_un address{AF_UNIX, {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const sys::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::mkfifo((source_ / "fifo").c_str(), 0600), 0);
  const std::string tar = PackWhole();
  EXPECT_EQ(summary_.skipped, 1u);
  EXPECT_EQ(summary_.skipped_names, std::vector<std::string>{"socket"});
  EXPECT_EQ(summary_.entries, 2u);  // The directory and the FIFO.
  auto staged = ReceiveBytes(tar, dest_, ExportKind::kDirectory);
  ASSERT_TRUE(staged.ok());
  EXPECT_EQ(staged->summary().skipped_names, std::vector<std::string>{"fifo"});
}

TEST_F(WriteTreeTest, ExcludedTreesAreLeftOut) {
  fs::create_directories(source_ / "state/vms");
  WriteFile(source_ / "state/vms/disk", "x");
  WriteFile(source_ / "kept", "x");
  const sys::UniqueFd fd = FdOf("");
  const auto summary =
      WriteTree(source_, fd.get(), {}, {{source_ / "state", source_ / "missing"}, {}, {}});
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->entries, 2u);
}

TEST_F(WriteTreeTest, TooDeepATreeIsNamed) {
  fs::path deep = source_;
  for (std::size_t i = 0; i <= kMaxDepth; ++i) deep /= "d";
  fs::create_directories(deep);
  const sys::UniqueFd fd = FdOf("");
  const auto summary = Pack(fd.get());
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kLimit);
  EXPECT_NE(summary.error().message.find("too deep"), std::string::npos);
}

TEST_F(WriteTreeTest, AFileThatCannotBeReadIsNamedAndTheStreamHasNoEnd) {
  if (::geteuid() == 0) GTEST_SKIP() << "root can read everything";
  WriteFile(source_ / "a", std::string(100'000, 'x'));
  WriteFile(source_ / "locked", "x", 0);
  const sys::UniqueFd fd = FdOf("");
  const auto summary = Pack(fd.get());
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(summary.error().message.find((source_ / "locked").native()), std::string::npos);
  EXPECT_FALSE(ReceiveBytes(ReadBack(fd.get()), dest_, ExportKind::kDirectory).ok());
}

TEST_F(WriteTreeTest, WhatIsNoDirectoryIsRefused) {
  WriteFile(source_ / "file", "x");
  const sys::UniqueFd fd = FdOf("");
  EXPECT_EQ(WriteTree(source_ / "file", fd.get()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(WriteTree(source_ / "none", fd.get()).error().code, ErrorCode::kNotFound);
}

TEST_F(WriteTreeTest, AFileThatShrinksMeanwhileIsFilledUpAndReported) {
  WriteFile(source_ / "log", std::string(8 << 20, 'x'));
  WriteFile(source_ / "later", "y");
  auto pipe = sys::MakePipe();
  std::thread packer([&] {
    const auto summary = Pack(pipe->write.get());
    EXPECT_TRUE(summary.ok());
    EXPECT_EQ(summary->changed_names, std::vector<std::string>{"log"});
    pipe->write.Reset();
  });
  // "later" comes first; wait until the log's header has gone by, with most of it to come. A read
  // of a pipe may give less than was asked for. Nothing may return before the packer has been
  // joined.
  std::string head(8192, '\0');
  std::size_t have = 0;
  while (have < head.size()) {
    const ssize_t count = ::read(pipe->read.get(), head.data() + have, head.size() - have);
    if (count <= 0) break;
    have += static_cast<std::size_t>(count);
  }
  EXPECT_EQ(have, head.size());
  EXPECT_EQ(::truncate((source_ / "log").c_str(), 4096), 0);
  const std::string tar = head + sys::ReadAll(pipe->read.get(), 1 << 30).value();
  packer.join();
  auto staged = ReceiveBytes(tar, dest_, ExportKind::kDirectory);
  ASSERT_TRUE(staged.ok()) << staged.error().message;
  ASSERT_TRUE(staged->Commit().ok());
  EXPECT_EQ(fs::file_size(dest_ / "log"), 8u << 20);
}

TEST_F(WriteTreeTest, ItCanBeCancelledWhileItsReaderIsStuck) {
  WriteFile(source_ / "file", std::string(1 << 20, 'x'));
  auto pipe = sys::MakePipe();
  auto cancel = sys::MakePipe();
  ASSERT_TRUE(sys::SetNonBlocking(pipe->write.get()).ok());
  Operation operation;
  operation.cancel_fd = cancel->read.get();
  std::thread packer(
      [&] { EXPECT_EQ(Pack(pipe->write.get(), operation).error().code, ErrorCode::kCancelled); });
  char byte;
  EXPECT_EQ(::read(pipe->read.get(), &byte, 1), 1);
  EXPECT_TRUE(sys::WriteAll(cancel->write.get(), "x").ok());
  packer.join();
}

TEST_F(WriteTreeTest, AReaderThatGoesAwayIsAnError) {
  WriteFile(source_ / "file", std::string(1 << 20, 'x'));
  auto pipe = sys::MakePipe();
  pipe->read.Reset();
  const auto summary = Pack(pipe->write.get());
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().sys_errno, EPIPE);
}

TEST_F(WriteTreeTest, TellsItsProgressAndKeepsToItsLimit) {
  WriteFile(source_ / "file", std::string(1 << 20, 'x'));
  std::vector<Progress> told;
  Operation operation;
  operation.on_progress = [&](const Progress& progress) { told.push_back(progress); };
  const sys::UniqueFd fd = FdOf("");
  ASSERT_TRUE(Pack(fd.get(), operation).ok());
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().entries, 2u);
  EXPECT_GT(told.back().bytes, 1u << 20);
  operation.max_bytes = 1 << 19;
  EXPECT_EQ(Pack(fd.get(), operation).error().code, ErrorCode::kLimit);
}

TEST_F(WriteTreeTest, EachEntryIsToldWithTheDigestOfWhatWasPacked) {
  fs::create_directories(source_ / "d");
  std::ofstream(source_ / "d/f") << "content";
  fs::create_hard_link(source_ / "d/f", source_ / "d/g");
  fs::create_symlink("d/f", source_ / "l");
  Selection selection;
  selection.hard_links = false;
  sys::FileDigest digest;
  digest.Add(0, "content");
  std::map<std::string, std::uint64_t> told;
  selection.on_packed = [&](const Packed& packed) {
    told.emplace(packed.entry.name, packed.digest);
  };
  const sys::UniqueFd fd = FdOf("");
  ASSERT_TRUE(WriteTree(source_, fd.get(), {}, selection).ok());
  EXPECT_EQ(told,
            (std::map<std::string, std::uint64_t>{
                {".", 0}, {"d", 0}, {"d/f", digest.value()}, {"d/g", digest.value()}, {"l", 0}}));
}

}  // namespace
}  // namespace pyro::archive
