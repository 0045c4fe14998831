// Files of a task, through the supervisor and the agent.

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "engine/testing/engine_fixture.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

class Kept : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    EXPECT_EQ(stream, OutputStream::kStdout);
    text += bytes;
    return bytes.size();
  }
  std::string text;
};

class TaskFilesTest : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();
    const auto task = engine_->CreateTask(Task());
    ASSERT_TRUE(task.ok()) << task.error().message;
    id_ = task->task_id;
  }

  template <typename Request>
  Request For(const std::string& path) {
    Request request;
    request.task_id = id_;
    request.path = path;
    return request;
  }

  Result<TaskFileInfo> Write(const std::string& path, const std::string& content,
                             std::int64_t mode = 0) {
    auto request = For<WriteTaskFileRequest>(path);
    request.mode = mode;
    const auto file = sys::MakeMemoryFile(content);
    CallIo io;
    io.stdin_fd = file->get();
    return engine_->WriteTaskFile(request, io);
  }

  Result<std::string> Read(const std::string& path, std::int64_t offset = 0,
                           std::int64_t limit = 0) {
    auto request = For<ReadTaskFileRequest>(path);
    request.offset = offset;
    request.limit = limit;
    Kept kept;
    CallIo io;
    io.sink = &kept;
    auto read = engine_->ReadTaskFile(request, io);
    if (!read) return std::move(read).error();
    EXPECT_EQ(read->bytes, kept.text.size());
    return kept.text;
  }

  void Run(const std::string& script) {
    const auto ran = engine_->ExecTask(id_, Shell(script), 0);
    ASSERT_TRUE(ran.ok()) << ran.error().message;
    ASSERT_EQ(ran->exit_code, 0) << ran->stderr_text;
  }

  static void ExpectError(const auto& result, ErrorCode code, const std::string& path) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_EQ(result.error().path, path) << result.error().message;
  }

  std::string id_;
};

TEST_F(TaskFilesTest, WhatIsWrittenIsReadBackAndNoJournalHasIt) {
  std::string content(3 << 20, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 5);
  const std::string path = "new dir/a b\n\xff";
  const auto written = Write(path, content);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written->path, "/workspace/" + path);
  EXPECT_EQ(written->bytes, content.size());
  EXPECT_EQ(written->mode, 0644);
  EXPECT_EQ(written->kind, FileKind::kFile);
  const auto read = Read(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(*read == content);
  EXPECT_EQ(*Read(path, 1 << 20, 5), content.substr(1 << 20, 5));
  EXPECT_EQ(*Read(path, static_cast<std::int64_t>(content.size()) + 1), "");
  const auto logs = engine_->LogsTask(id_);
  ASSERT_TRUE(logs.ok());
  EXPECT_TRUE(logs->entries.empty());
}

TEST_F(TaskFilesTest, AFileKeepsItsModeUnlessOneIsGivenAndALinkStays) {
  Run("echo old > tool; chmod 750 tool; ln -s tool link; ln -s new dangling");
  EXPECT_EQ(Write("link", "new")->mode, 0750);
  EXPECT_EQ(*Read("tool"), "new");
  EXPECT_EQ(Write("tool", "newer", 0600)->mode, 0600);
  const auto link = engine_->StatTaskFile(For<TaskPathRequest>("link"));
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->kind, FileKind::kSymlink);
  EXPECT_EQ(link->target, "tool");
  ASSERT_TRUE(Write("dangling", "there").ok());
  EXPECT_EQ(*Read("new"), "there");
  // Nothing is left beside it.
  const auto list = engine_->ListTaskFiles(For<ListTaskFilesRequest>("."));
  ASSERT_TRUE(list.ok()) << list.error().message;
  std::string names;
  for (const TaskFile& one : list->entries) names += one.path + " ";
  EXPECT_EQ(names, "dangling link new tool ");
}

TEST_F(TaskFilesTest, ACallThatStartsTheTaskSaysWhatThatKept) {
  Run("echo x > f; mkdir d");
  const auto paths = [&](const std::string& path, const std::string& other) {
    auto request = For<TaskPathsRequest>(path);
    request.to = other;
    return request;
  };
  std::string from = "moved";  // Once they are swapped.
  std::string to = "f";
  const sys::TestDirectory host;
  const std::map<std::string, std::function<std::optional<Restart>()>> calls = {
      {"read",
       [&] {
         Kept kept;
         CallIo io;
         io.sink = &kept;
         return engine_->ReadTaskFile(For<ReadTaskFileRequest>("f"), io)->restart;
       }},
      {"write", [&] { return Write("w", "x")->restart; }},
      {"stat", [&] { return engine_->StatTaskFile(For<TaskPathRequest>("f"))->restart; }},
      {"list", [&] { return engine_->ListTaskFiles(For<ListTaskFilesRequest>("d"))->restart; }},
      {"mkdir",
       [&] {
         auto request = For<MakeTaskDirectoryRequest>("made/deep");
         request.parents = true;
         return engine_->MakeTaskDirectory(request)->restart;
       }},
      {"remove",
       [&] {
         auto request = For<RemoveTaskPathRequest>("made");
         request.recursive = true;
         return engine_->RemoveTaskPath(request)->restart;
       }},
      {"move",
       [&] {
         std::swap(from, to);
         return engine_->MoveTaskPath(paths(from, to))->restart;
       }},
      {"copy",
       [&] {
         auto request = paths("f", "g");
         request.replace = true;
         return engine_->CopyTaskPath(request)->restart;
       }},
      {"sync",
       [&] {
         SyncTaskRequest request;
         request.task_id = id_;
         request.host_path = host.path();
         return engine_->SyncTask(request)->restart;
       }},
      {"patch", [&] {
         PatchTaskRequest request;
         request.task_id = id_;
         request.check = true;
         const auto diff = sys::MakeMemoryFile("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n");
         CallIo io;
         io.stdin_fd = diff->get();
         return engine_->PatchTask(request, io)->restart;
       }}};
  for (const auto& [name, call] : calls) {
    ASSERT_TRUE(engine_->StopTask(id_).ok());
    const auto restart = call();
    ASSERT_TRUE(restart) << name;
    EXPECT_EQ(restart->kept.front(), "/workspace") << name;
    EXPECT_FALSE(call()) << name;
  }
}

TEST_F(TaskFilesTest, EveryFailureHasItsCodeAndNamesThePath) {
  Run("mkdir dir; echo x > file; mkfifo fifo; ln -s loop loop");
  ExpectError(Read("missing"), ErrorCode::kNotFound, "/workspace/missing");
  ExpectError(Read("./dir//"), ErrorCode::kIsDirectory, "/workspace/dir");
  ExpectError(Read("fifo"), ErrorCode::kInvalidArgument, "/workspace/fifo");
  ExpectError(Read("loop"), ErrorCode::kInvalidArgument, "/workspace/loop");
  ExpectError(Read("file/x"), ErrorCode::kNotDirectory, "/workspace/file/x");
  ExpectError(Write("dir", "x"), ErrorCode::kIsDirectory, "/workspace/dir");
  ExpectError(Write("dir/", "x"), ErrorCode::kIsDirectory, "/workspace/dir");
  ExpectError(Write("file/x", "x"), ErrorCode::kNotDirectory, "/workspace/file");
  ExpectError(engine_->StatTaskFile(For<TaskPathRequest>("missing")), ErrorCode::kNotFound,
              "/workspace/missing");
  ExpectError(engine_->ListTaskFiles(For<ListTaskFilesRequest>("file")), ErrorCode::kNotDirectory,
              "/workspace/file");
  ExpectError(Read(""), ErrorCode::kInvalidArgument, "");
  ExpectError(Read(std::string("a\0b", 3)), ErrorCode::kInvalidArgument, "");
}

TEST_F(TaskFilesTest, AUserThatIsNotThereIsNoPathThatIsMissing) {
  auto request = For<TaskPathRequest>(".");
  request.user = "no-such-user";
  const auto told = engine_->StatTaskFile(request);
  ExpectError(told, ErrorCode::kNotFound, "");
  EXPECT_EQ(told.error().message, "the guest has no user 'no-such-user'");
}

TEST_F(TaskFilesTest, AListHasWhatWasAskedForAndSaysIfThereIsMore) {
  Run("mkdir -p a/b/c z; echo 12345 > a/b/file; ln -s /nowhere a/link");
  const auto paths = [&](std::int64_t depth, std::int64_t limit, bool truncated) {
    auto request = For<ListTaskFilesRequest>("/workspace");
    request.depth = depth;
    request.limit = limit;
    const auto list = engine_->ListTaskFiles(request);
    EXPECT_TRUE(list.ok()) << list.error().message;
    EXPECT_EQ(list->truncated, truncated);
    std::string text;
    for (const TaskFile& one : list->entries) text += one.path + " ";
    return text;
  };
  EXPECT_EQ(paths(1, 100, false), "a z ");
  EXPECT_EQ(paths(2, 100, false), "a a/b a/link z ");
  EXPECT_EQ(paths(9, 100, false), "a a/b a/b/c a/b/file a/link z ");
  EXPECT_EQ(paths(9, 6, false), "a a/b a/b/c a/b/file a/link z ");
  EXPECT_EQ(paths(9, 3, true), "a a/b a/b/c ");
  EXPECT_EQ(paths(1, 1, true).size(), 2u);
}

TEST_F(TaskFilesTest, AStoppedTaskIsStartedForItsFiles) {
  ASSERT_TRUE(Write("kept", "text").ok());
  ASSERT_TRUE(engine_->StopTask(id_).ok());
  EXPECT_EQ(*Read("kept"), "text");
  EXPECT_EQ(engine_->StatusTask(id_)->state, GuestState::kStarted);
}

}  // namespace
}  // namespace pyro::engine
