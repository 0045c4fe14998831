// Tasks: their states, their workspace, and what becomes of them when something else ends first.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/try.h"
#include "engine/testing/engine_fixture.h"
#include "engine/testing/trigger.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class TasksTest : public EngineFixture {
 protected:
  std::string Create(const TaskOptions& options = Task()) {
    const auto task = engine_->CreateTask(options);
    EXPECT_TRUE(task.ok()) << task.error().message;
    return task ? task->task_id : "";
  }

  Result<TaskExecResult> Exec(const std::string& id, const std::string& script,
                              const CallIo& io = {}) {
    return engine_->ExecTask(id, Shell(script), 30, io);
  }

  std::string OutputOf(const std::string& id, const std::string& script) {
    const auto result = Exec(id, script);
    return result ? result->stdout_text : result.error().message;
  }

  std::string StateOf(const std::string& id) {
    const auto task = engine_->StatusTask(id);
    return std::string(task ? Name(task->state) : ErrorCodeName(task.error().code));
  }
};

TEST_F(TasksTest, ATaskStartsWithItsCreationAndKeepsItsWorkspaceOverAStop) {
  const auto created = engine_->CreateTask(Task());
  ASSERT_TRUE(created.ok()) << created.error().message;
  const std::string id = created->task_id;
  EXPECT_EQ(created->state, GuestState::kStarted);
  EXPECT_EQ(created->execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(created->disk_mib, 10240);
  EXPECT_EQ(created->command_count, 0);
  EXPECT_FALSE(created->last_command);

  const auto first = Exec(id, "pwd; echo kept > file; echo no >&2; exit 2");
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->stdout_text, "/workspace\n");
  EXPECT_EQ(first->stderr_text, "no\n");
  EXPECT_EQ(first->exit_code, 2);
  EXPECT_EQ(first->sequence, 1);
  EXPECT_EQ(first->task_id, id);
  EXPECT_EQ(first->cwd, "/workspace");
  EXPECT_FALSE(first->restarted);

  EXPECT_EQ(engine_->StopTask(id)->state, GuestState::kStopped);
  EXPECT_EQ(SupervisorOf(id), 0);
  EXPECT_EQ(engine_->StopTask(id)->state, GuestState::kStopped);  // Fine.

  std::string notice;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notice = text; };
  const auto second = Exec(id, "cat file", io);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->stdout_text, "kept\n");
  EXPECT_EQ(second->sequence, 2);
  EXPECT_TRUE(second->restarted);
  EXPECT_NE(notice.find("was stopped"), std::string::npos) << notice;

  const auto status = engine_->StatusTask(id);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->command_count, 2);
  ASSERT_TRUE(status->last_command);
  EXPECT_EQ(status->last_command->sequence, 2);
  EXPECT_EQ(engine_->ListTasks()->size(), 1u);

  EXPECT_EQ(*engine_->DeleteTask(id), id);
  EXPECT_EQ(StateOf(id), "not_found");
  EXPECT_FALSE(fs::exists(DirectoryOf(id)));
  EXPECT_EQ(*engine_->DeleteTask(id), id);  // As one that was cut off and is repeated.
  EXPECT_EQ(engine_->DeleteTask(id.substr(0, 12)).error().code, ErrorCode::kNotFound);
}

TEST_F(TasksTest, ATaskKeepsItsNameAlsoIfItsRowIsLost) {
  TaskOptions options = Task();
  options.name = "a build of mine";
  const std::string id = Create(options);
  const std::string nameless = Create();
  EXPECT_EQ(engine_->StatusTask(id)->name, options.name);
  ASSERT_TRUE(engine_->StopTask(id).ok());
  ASSERT_TRUE(engine_->StopTask(nameless).ok());
  // As a version without names wrote it.
  const fs::path manifest = DirectoryOf(nameless) / "manifest.json";
  Json old = *ParseJson(*sys::ReadFile(manifest, 10000));
  ASSERT_EQ(old.erase("name"), 1U);
  std::ofstream(manifest) << ToPrettyJson(old);
  for (const char* file : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
    fs::remove(state_ / file);
  }
  EXPECT_EQ(engine_->StatusTask(id)->name, options.name);
  EXPECT_EQ(engine_->StatusTask(nameless)->name, "");

  // Row and manifest change together, or neither does.
  const fs::path aside = DirectoryOf(nameless) / "aside";
  fs::rename(manifest, aside);
  fs::create_directory(manifest);
  EXPECT_FALSE(engine_->RenameTask(nameless, "lost").ok());
  EXPECT_EQ(engine_->StatusTask(nameless)->name, "");
  fs::remove(manifest);
  fs::rename(aside, manifest);

  // A new name is as durable.
  EXPECT_EQ(engine_->RenameTask(nameless, "another")->name, "another");
  EXPECT_EQ(engine_->RenameTask(id, std::string(65, 'x')).error().message, "name has 65 bytes");
  for (const char* file : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
    fs::remove(state_ / file);
  }
  EXPECT_EQ(engine_->StatusTask(nameless)->name, "another");

  options.name.assign(65, 'x');
  EXPECT_EQ(engine_->CreateTask(options).error().message, "name has 65 bytes");
}

TEST_F(TasksTest, ANameHoldsNoCharacterThatActsOrHides) {
  TaskOptions options = Task();
  options.name = std::string("a\0b", 3);
  EXPECT_EQ(engine_->CreateTask(options).error().message, "name holds the character U+0000");
  EXPECT_TRUE(engine_->ListTasks()->empty());
  options.name = "nightly 👩\u200D💻";
  const auto task = engine_->CreateTask(options);
  ASSERT_TRUE(task.ok()) << task.error().message;
  const auto renamed = engine_->RenameTask(task->task_id, "\u2066x");
  EXPECT_EQ(renamed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(renamed.error().message, "name holds the character U+2066");
  EXPECT_EQ(engine_->StatusTask(task->task_id)->name, options.name);
}

TEST_F(TasksTest, ADirectorySeedsTheWorkspace) {
  const fs::path source = directory_.path() / "source";
  fs::create_directories(source / "sub");
  std::ofstream(source / "sub" / "file") << "seeded";
  TaskOptions options = Task();
  options.source_path = source;
  EXPECT_EQ(OutputOf(Create(options), "cat sub/file"), "seeded");
}

TEST_F(TasksTest, ASourceThatIsNotThereIsRefusedBeforeAnythingIsMade) {
  TaskOptions options = Task();
  options.source_path = directory_.path() / "nothing";
  EXPECT_FALSE(engine_->CreateTask(options).ok());
  options = Task();
  options.disk_mib = 1;
  EXPECT_EQ(engine_->CreateTask(options).error().message, "disk_mib is 1");
  EXPECT_TRUE(engine_->ListTasks()->empty());
}

TEST_F(TasksTest, AGuestThatDoesNotStartLeavesNoTask) {
  world_.kernel = "panic!";
  const auto task = engine_->CreateTask(Task());
  ASSERT_FALSE(task.ok());
  EXPECT_EQ(task.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_TRUE(engine_->ListTasks()->empty());
  EXPECT_TRUE(fs::is_empty(state_ / "tasks"));
}

TEST_F(TasksTest, ADirectoryAFileAndATarComeBackToTheHost) {
  const std::string id = Create();
  ASSERT_TRUE(Exec(id, "mkdir -p out/sub && echo text > out/sub/file && ln -s sub out/link").ok());
  const fs::path there = directory_.path() / "there";
  const auto directory = engine_->ExportTask(id, "out", there);
  ASSERT_TRUE(directory.ok()) << directory.error().message;
  EXPECT_EQ(*sys::ReadFile(there / "sub" / "file", 100), "text\n");
  EXPECT_EQ(fs::read_symlink(there / "link"), "sub");
  EXPECT_EQ(directory->path, "/workspace/out");
  EXPECT_EQ(directory->bytes, 5u);
  EXPECT_EQ(engine_->ExportTask(id, "out", there).error().code, ErrorCode::kAlreadyExists);
  const auto file = engine_->ExportTask(id, "out/sub/file", directory_.path() / "file");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(*sys::ReadFile(directory_.path() / "file", 100), "text\n");
  const auto tar = engine_->ExportTask(id, "out", directory_.path() / "out.tar");
  ASSERT_TRUE(tar.ok()) << tar.error().message;
  EXPECT_TRUE(fs::is_regular_file(directory_.path() / "out.tar"));
  EXPECT_FALSE(engine_->ExportTask(id, "nothing", directory_.path() / "none").ok());
  // A tar of its own seeds another task.
  TaskOptions options = Task();
  options.source_path = directory_.path() / "out.tar";
  EXPECT_NE(OutputOf(Create(options), "cat */sub/file sub/file 2>/dev/null").find("text"),
            std::string::npos);
}

TEST_F(TasksTest, AKilledSupervisorInterruptsItsCommandAndKeepsWhatItSaid) {
  const std::string id = Create();
  Trigger trigger([&]() -> Status {
    KillSupervisor(id);
    return OkStatus();
  });
  CallIo io;
  io.sink = &trigger;
  const auto lost = Exec(id, "echo begun; echo work > file; sleep 600", io);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::kGuestUnavailable) << lost.error().message;

  const auto task = engine_->StatusTask(id);
  ASSERT_TRUE(task.ok());
  EXPECT_EQ(task->state, GuestState::kStopped);
  EXPECT_NE(task->last_error.find("supervisor was killed"), std::string::npos);
  const auto logs = engine_->LogsTask(id);
  ASSERT_TRUE(logs.ok());
  ASSERT_EQ(logs->entries.size(), 1u);
  EXPECT_EQ(logs->entries[0].outcome, Outcome::kInterrupted);
  EXPECT_EQ(logs->entries[0].stdout_text, "begun\n");

  const auto again = Exec(id, "echo again");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_TRUE(again->restarted);
  EXPECT_EQ(again->sequence, 2);
}

TEST_F(TasksTest, AGuestThatIsLostIsRecordedWithItsCommands) {
  const std::string id = Create();
  const auto started = engine_->StartTaskCommand(id, Shell("sleep 600"), 1000);
  ASSERT_TRUE(started.ok()) << started.error().message;
  KillGuest(id);
  const auto command = engine_->GetTaskCommand(id, started->sequence);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->outcome, Outcome::kInterrupted);
  EXPECT_EQ(StateOf(id), "stopped");
  EXPECT_NE(engine_->StatusTask(id)->last_error.find("the guest is gone"), std::string::npos);
}

TEST_F(TasksTest, ACancelledCallKillsItsCommandAndRecordsThat) {
  const std::string id = Create();
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  Trigger trigger([&] { return sys::WriteAll(pipe->write.get(), "x"); });
  CallIo io;
  io.sink = &trigger;
  io.cancel_fd = pipe->read.get();
  EXPECT_EQ(Exec(id, "echo begun; sleep 600", io).error().code, ErrorCode::kCancelled);
  const auto command = engine_->GetTaskCommand(id, 1);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->outcome, Outcome::kCancelled);
  EXPECT_EQ(StateOf(id), "started");
}

TEST_F(TasksTest, AReaderThatIsGoneEndsItsCommandAndThatIsRecorded) {
  const std::string id = Create();
  Trigger trigger([]() -> Status { return MakeError(ErrorCode::kUnavailable, "reader gone"); });
  CallIo io;
  io.sink = &trigger;
  EXPECT_EQ(Exec(id, "echo begun; sleep 600", io).error().message, "reader gone");
  EXPECT_EQ(engine_->GetTaskCommand(id, 1, 30s)->outcome, Outcome::kCancelled);
}

TEST_F(TasksTest, StdinGoesToTheCommandOfATask) {
  const std::string id = Create();
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_TRUE(sys::WriteAll(pipe->write.get(), "given\n").ok());
  pipe->write.Reset();
  CallIo io;
  io.stdin_fd = pipe->read.get();
  const auto result = Exec(id, "cat", io);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stdout_text, "given\n");
}

// --- Commands in the background, and the journal

TEST_F(TasksTest, ACommandInTheBackgroundIsWaitedForReadAndListed) {
  const std::string id = Create();
  const auto started = engine_->StartTaskCommand(
      id, Shell("echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 7"), 1000);
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(started->sequence, 1);
  EXPECT_EQ(started->state, CommandState::kRunning);
  EXPECT_EQ(started->environment, "debian:12");
  EXPECT_EQ(started->outcome, std::nullopt);

  auto page = engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 100, 60s);
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_EQ(page->text, "one\n");
  EXPECT_EQ(page->stream, OutputStream::kStdout);
  EXPECT_FALSE(page->complete);
  EXPECT_EQ(page->command.state, CommandState::kRunning);
  EXPECT_EQ(engine_->GetTaskCommand(id, 1)->state, CommandState::kRunning);  // At once.
  const auto listed = engine_->ListTaskCommands(id);
  ASSERT_TRUE(listed.ok());
  EXPECT_EQ(listed->total, 1);
  EXPECT_EQ(listed->entries.at(0).stdout_bytes, 4u);

  ASSERT_TRUE(Exec(id, "touch go").ok());
  const auto ended = engine_->GetTaskCommand(id, 1, 60s);
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(ended->state, CommandState::kEnded);
  EXPECT_EQ(ended->exit_code, 7);
  page = engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, page->next_offset, 100);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->text, "two\n");
  EXPECT_TRUE(page->complete);
}

TEST_F(TasksTest, ARunningCommandIsCancelledByItsNumberAndOneThatEndedStaysAsItIs) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("sleep 600"), 1000).ok());
  const auto cancelled = engine_->CancelTaskCommand(id, 1);
  ASSERT_TRUE(cancelled.ok()) << cancelled.error().message;
  EXPECT_EQ(cancelled->outcome, Outcome::kCancelled);
  ASSERT_TRUE(Exec(id, "exit 3").ok());
  EXPECT_EQ(engine_->CancelTaskCommand(id, 2)->exit_code, 3);
  EXPECT_EQ(engine_->CancelTaskCommand(id, 9).error().code, ErrorCode::kNotFound);
}

TEST_F(TasksTest, AWaitEndsWhenTheCallerCancelsIt) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("sleep 600"), 1000).ok());
  auto pipe = sys::MakePipe();
  ASSERT_TRUE(pipe.ok());
  ASSERT_TRUE(sys::WriteAll(pipe->write.get(), "x").ok());
  CallIo io;
  io.cancel_fd = pipe->read.get();
  EXPECT_EQ(engine_->GetTaskCommand(id, 1, 60s, io).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(engine_->ReadTaskOutput(id, 1, OutputStream::kStderr, 0, 10, 60s, io).error().code,
            ErrorCode::kCancelled);
  EXPECT_EQ(engine_->GetTaskCommand(id, 1)->state, CommandState::kRunning);
}

TEST_F(TasksTest, AWaitNoticesThatTheSupervisorWasKilled) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("echo said; sleep 600"), 1000).ok());
  ASSERT_TRUE(engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 10, 60s).ok());
  KillSupervisor(id);
  const auto command = engine_->GetTaskCommand(id, 1, 60s);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->outcome, Outcome::kInterrupted);
  EXPECT_EQ(command->stdout_bytes, 5u);
}

TEST_F(TasksTest, PagesAndWaitsHaveLimits) {
  const std::string id = Create();
  ASSERT_TRUE(Exec(id, "printf 'aä'").ok());
  EXPECT_EQ(engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 0).error().message,
            "limit is 0");
  EXPECT_FALSE(engine_->GetTaskCommand(id, 1, -1ms).ok());
  EXPECT_FALSE(engine_->GetTaskCommand(id, 1, 24h * 8).ok());
  // A page is as long as it is asked to be, except that it cuts no character in two.
  EXPECT_EQ(engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 2)->text.size(), 2u);
  EXPECT_EQ(engine_->ReadTaskOutput(id, 1, OutputStream::kStdout, 0, 4)->text, "aä");
}

TEST_F(TasksTest, LogsComeInOrderFromAnEntryOnOrTheLastFew) {
  const std::string id = Create();
  for (const char* word : {"one", "two", "three"}) {
    ASSERT_TRUE(Exec(id, "echo " + std::string(word)).ok());
  }
  const auto words = [](const Result<TaskLogs>& logs) {
    std::string text;
    for (const TaskLogEntry& entry : logs->entries) text += entry.stdout_text;
    return text;
  };
  EXPECT_EQ(words(engine_->LogsTask(id)), "one\ntwo\nthree\n");
  EXPECT_EQ(words(engine_->LogsTask(id, 2)), "two\nthree\n");
  EXPECT_EQ(words(engine_->LogsTask(id, 1, 2)), "one\ntwo\n");
  EXPECT_EQ(words(engine_->LogsTask(id, 1, -2)), "two\nthree\n");
  const auto last = engine_->ListTaskCommands(id, 1, -1);
  ASSERT_EQ(last->entries.size(), 1u);
  EXPECT_EQ(last->entries[0].sequence, 3);
  EXPECT_EQ(engine_->ListTaskCommands(id, 2, 1)->entries.at(0).sequence, 2);
}

TEST_F(TasksTest, OneEntryIsFollowedToItsEnd) {
  const std::string id = Create();
  ASSERT_TRUE(engine_
                  ->StartTaskCommand(
                      id, Shell("echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"), 1000)
                  .ok());
  std::string text;
  Trigger trigger(
      [&]() -> Status {
        PYRO_RETURN_IF_ERROR(engine_->ExecTask(id, Shell("touch go"), 30));
        return OkStatus();
      },
      &text);
  CallIo io;
  io.sink = &trigger;
  const auto followed = engine_->ReadTaskCommand(id, 1, Engine::Follow::kYes, io);
  ASSERT_TRUE(followed.ok()) << followed.error().message;
  EXPECT_EQ(followed->outcome, Outcome::kExited);
  EXPECT_EQ(text, "one\ntwo\n");
  text.clear();
  ASSERT_TRUE(engine_->ReadTaskCommand(id, 1, Engine::Follow::kNo, io).ok());
  EXPECT_EQ(text, "one\ntwo\n");
}

// --- What crashes leave behind

TEST_F(TasksTest, ARegistryThatWasLostIsMadeAgainFromTheDirectories) {
  const std::string id = Create();
  ASSERT_TRUE(Exec(id, "echo one; exit 4").ok());
  ASSERT_TRUE(engine_->StopTask(id).ok());
  for (const char* name : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
    fs::remove(state_ / name);
  }
  const auto task = engine_->StatusTask(id);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->state, GuestState::kStopped);
  EXPECT_EQ(task->command_count, 1);
  EXPECT_EQ(engine_->LogsTask(id)->entries.at(0).exit_code, 4);
  EXPECT_EQ(OutputOf(id, "echo two"), "two\n");
}

TEST_F(TasksTest, ACreationThatWasCutOffIsRemovedByTheNextCall) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  // The mark that a creation leaves until it is done.
  std::ofstream(DirectoryOf(id) / "creating");
  // The next call that wants to start the task sees it.
  const auto refused = Exec(id, "true");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongState);
}

TEST_F(TasksTest, ARemovalThatWasCutOffIsFinishedByTheNextCall) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  fs::rename(DirectoryOf(id), state_ / "tasks" / (".gone-" + id));
  EXPECT_TRUE(engine_->ListTasks()->empty());
  EXPECT_TRUE(fs::is_empty(state_ / "tasks"));
}

TEST_F(TasksTest, ATaskWhoseEnvironmentIsGoneSaysSo) {
  const std::string id = Create();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  ASSERT_TRUE(sys::RemoveTree(cache_ / "environments").ok());
  const auto result = Exec(id, "true");
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("is not installed any more"), std::string::npos);
}

TEST_F(TasksTest, AStopWhileTheSupervisorIsGoneBringsTheRowInLine) {
  const std::string id = Create();
  KillSupervisor(id);
  EXPECT_EQ(engine_->StopTask(id)->state, GuestState::kStopped);
}

// --- On the host

TEST_F(TasksTest, ATaskOnTheHostKeepsAJournalOfItsOwn) {
  world_.build = MakeError(ErrorCode::kUnavailable, "no mirror");
  TaskOptions options = Task();
  EXPECT_EQ(engine_->CreateTask(options).error().message, "no mirror");
  options.allow_host_compat = true;
  std::string notice;
  CallIo io;
  io.on_notice = [&](std::string_view text) { notice = text; };
  const auto task = engine_->CreateTask(options, io);
  ASSERT_TRUE(task.ok()) << task.error().message;
  EXPECT_EQ(task->execution_mode, ExecutionMode::kHostCompat);
  EXPECT_NE(notice.find("no mirror"), std::string::npos);
  const std::string id = task->task_id;
  const auto first = Exec(id, "echo kept > file; echo out; echo err >&2; exit 2");
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->stdout_text, "out\n");
  EXPECT_EQ(first->stderr_text, "err\n");
  EXPECT_EQ(first->sequence, 1);
  EXPECT_EQ(OutputOf(id, "cat file"), "kept\n");
  EXPECT_EQ(engine_->LogsTask(id)->entries.at(0).exit_code, 2);
  EXPECT_EQ(engine_->ExecTask(id, Shell("sleep 600"), 1)->outcome, Outcome::kTimedOut);
  EXPECT_EQ(Exec(id, "printf '#!/no/interpreter\\n' > s; chmod +x s")->exit_code, 0);
  const auto script = engine_->ExecTask(id, Command{.argv = {"./s"}, .script = {}}, 30);
  ASSERT_TRUE(script.ok()) << script.error().message;
  EXPECT_EQ(script->exit_code, 127);
  EXPECT_NE(script->explanation.message.find("the interpreter"), std::string::npos);
  EXPECT_EQ(engine_->GetTaskCommand(id, script->sequence)->explanation.message,
            script->explanation.message);

  EXPECT_EQ(engine_->StartTaskCommand(id, Shell("true"), 30).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(engine_->ExportTask(id, "file", directory_.path() / "x").error().code,
            ErrorCode::kWrongState);
  EXPECT_EQ(engine_->StopTask(id)->state, GuestState::kStopped);
  EXPECT_TRUE(engine_->DeleteTask(id).ok());

  options.source_path = directory_.path();
  EXPECT_EQ(engine_->CreateTask(options).error().code, ErrorCode::kGuestUnavailable);
}

}  // namespace
}  // namespace pyro::engine
