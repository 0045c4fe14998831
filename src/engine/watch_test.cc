// The stream of events: what is there, what happens, and what other processes do.

#include "pyro/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/local_engine.h"
#include "engine/testing/engine_fixture.h"
#include "sys/unique_fd.h"

namespace {

// From its beginning the next sync of a file in this process waits for `may_end`.
class SlowSync {
 public:
  SlowSync() { next = this; }
  ~SlowSync() { next = nullptr; }
  static SlowSync* Take() { return next.exchange(nullptr); }

  std::promise<void> begun;
  std::promise<void> may_end;

 private:
  static std::atomic<SlowSync*> next;
};
std::atomic<SlowSync*> SlowSync::next = nullptr;

}  // namespace

// SQLite calls this one.
extern "C" int fdatasync(int fd) {
  if (SlowSync* const slow = SlowSync::Take()) {
    slow->begun.set_value();
    slow->may_end.get_future().wait();
  }
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

namespace pyro::engine {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;
using Notes = std::vector<std::string>;

// An event as a test reads it; output without its size.
std::string NoteOf(const Event& event) {
  std::string note(Name(event.kind));
  if (event.kind == Kind::kPresent) note += " " + std::string(Name(event.state));
  if (event.sequence > 0) note += fmt::format(" {}", event.sequence);
  if (event.kind == Kind::kCommandEnded) note += fmt::format(" {}", event.exit_code);
  if (event.kind == Kind::kOutput) {
    note += " " + std::string(Name(event.stream));
  }
  return note;
}

class EngineWatchTest : public EngineFixture {
 protected:
  // An engine as another process has it.
  Engine& Other() {
    if (!other_) other_ = std::make_unique<LocalEngine>(FakeContext(Directories(), world_));
    return *other_;
  }

  std::unique_ptr<EventStream> Watch(const std::string& id = {}) {
    auto stream = engine_->Watch(id);
    EXPECT_TRUE(stream.ok()) << stream.error().message;
    return stream ? std::move(*stream) : nullptr;
  }

  // The events of `id` up to the first of that kind; those without an end in sight fail.
  std::vector<Event> Until(EventStream& stream, Kind kind, const std::string& id) {
    std::vector<Event> events;
    for (int i = 0; i < 200; ++i) {
      const auto next = stream.Next(1s, {});
      if (!next) {
        ADD_FAILURE() << next.error().message;
        return events;
      }
      bool found = false;
      for (const Event& event : *next) {
        if (event.id == id) events.push_back(event);
        found = found || (event.kind == kind && event.id == id);
      }
      if (found) return events;
    }
    ADD_FAILURE() << "no " << Name(kind);
    return events;
  }

  static Notes NotesOf(const std::vector<Event>& events) {
    Notes notes;
    for (const Event& event : events) {
      if (notes.empty() || notes.back() != NoteOf(event)) notes.push_back(NoteOf(event));
    }
    return notes;
  }

  // The looks that follow its beginning are over, and nothing is left to tell.
  static void Settle(EventStream& stream) {
    while (true) {
      const auto events = stream.Next(1s, {});
      ASSERT_TRUE(events.ok()) << events.error().message;
      if (events->empty()) return;
    }
  }

  // Further changes of the state directory are lost until the next look.
  void FillInotify() const {
    int most = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
    for (int i = 0; i <= most / 2; ++i) {
      std::ofstream(state_ / "other") << "";
      std::filesystem::remove(state_ / "other");
    }
  }

  std::string CreateTask() {
    const auto task = engine_->CreateTask(Task());
    EXPECT_TRUE(task.ok()) << task.error().message;
    return task ? task->task_id : "";
  }

  std::unique_ptr<Engine> other_;
};

TEST_F(EngineWatchTest, AStateDirectoryThatIsRemovedAndMadeAgainIsWatchedAgain) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  const auto first = Other().CreateVm(Vm());
  ASSERT_TRUE(first.ok()) << first.error().message;
  Until(*stream, Kind::kCreated, first->vm_id);
  std::filesystem::remove_all(Directories().state);
  Until(*stream, Kind::kDeleted, first->vm_id);
  const auto second = Other().CreateVm(Vm());
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kCreated, second->vm_id)), Notes{"created"});
}

TEST_F(EngineWatchTest, ATaskIsToldFromItsCreationToItsDeletionThoughAnotherProcessDoesIt) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  const auto task = Other().CreateTask(Task());
  ASSERT_TRUE(task.ok()) << task.error().message;
  const std::string id = task->task_id;
  Notes told = NotesOf(Until(*stream, Kind::kStarted, id));
  const auto add = [&](Kind kind) {
    for (std::string& note : NotesOf(Until(*stream, kind, id))) told.push_back(std::move(note));
  };
  ASSERT_TRUE(Other().ExecTask(id, Shell("echo out; echo err >&2; exit 4"), 30).ok());
  add(Kind::kCommandEnded);
  ASSERT_TRUE(Other().StopTask(id).ok());
  add(Kind::kStopped);
  ASSERT_TRUE(Other().DeleteTask(id).ok());
  add(Kind::kDeleted);
  EXPECT_EQ(told, (Notes{"created", "started", "command_began 1", "output 1 stdout",
                         "output 1 stderr", "command_ended 1 4", "stopped", "deleted"}));
}

TEST_F(EngineWatchTest, ItBeginsWithWhatIsThereAndWithTheCommandsThatRun) {
  const std::string id = CreateTask();
  ASSERT_TRUE(engine_->ExecTask(id, Shell("echo before"), 30).ok());
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("echo here; exec sleep 1000"), 0).ok());
  ASSERT_TRUE(engine_->ReadTaskOutput(id, 2, OutputStream::kStdout, 0, 100, 60s).ok());
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  const auto events = stream->Next(0ms, {});
  ASSERT_TRUE(events.ok());
  EXPECT_EQ(NotesOf(*events), (Notes{"present started", "command_began 2", "output 2 stdout"}));
  EXPECT_EQ(events->at(1).command.back(), "echo here; exec sleep 1000");
  EXPECT_EQ(events->at(2).bytes, 5u);
  const auto nothing = stream->Next(0ms, {});
  ASSERT_TRUE(nothing.ok());
  EXPECT_TRUE(nothing->empty());

  ASSERT_TRUE(engine_->CancelTaskCommand(id, 2).ok());
  EXPECT_EQ(Until(*stream, Kind::kCommandEnded, id).back().outcome, Outcome::kCancelled);
}

TEST_F(EngineWatchTest, OutputIsToldWhileTheCommandRunsAndTheLastSizeIsAllOfIt) {
  const std::string id = CreateTask();
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  const auto started = engine_->StartTaskCommand(
      id, Shell("echo first; until [ -e go ]; do sleep 0.05; done; seq 1000"), 0);
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(Until(*stream, Kind::kOutput, id).back().bytes, 6u);
  ASSERT_TRUE(engine_->ExecTask(id, Shell("touch go"), 30).ok());
  ASSERT_TRUE(engine_->GetTaskCommand(id, 1, 60s).ok());
  std::uint64_t last = 0;
  bool ended = false;
  while (!ended) {
    for (const Event& event : Until(*stream, Kind::kCommandEnded, id)) {
      if (event.sequence != 1) continue;
      if (event.kind == Kind::kOutput) last = event.bytes;
      ended = ended || event.kind == Kind::kCommandEnded;
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(last, engine_->GetTaskCommand(id, 1)->stdout_bytes);
}

TEST_F(EngineWatchTest, ASupervisorThatIsKilledIsNoticedAtOnceWithItsCommand) {
  const std::string id = CreateTask();
  ASSERT_TRUE(engine_->StartTaskCommand(id, Shell("exec sleep 1000"), 0).ok());
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  KillSupervisor(id);
  const auto events = Until(*stream, Kind::kStopped, id);
  EXPECT_EQ(events.back().last_error, "its supervisor was killed");
  const Notes notes = NotesOf(events);
  EXPECT_NE(std::find(notes.begin(), notes.end(), "command_ended 1 125"), notes.end());
}

TEST_F(EngineWatchTest, VmsAreToldAsWell) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  const auto vm = Other().CreateVm(Vm());
  ASSERT_TRUE(vm.ok()) << vm.error().message;
  ASSERT_TRUE(Other().StartVm(vm->vm_id).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kStarted, vm->vm_id)), (Notes{"created", "started"}));
  ASSERT_TRUE(Other().DeleteVm(vm->vm_id).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kDeleted, vm->vm_id)).back(), "deleted");
}

TEST_F(EngineWatchTest, WhatCameAndWentBetweenTwoCallsIsTold) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  const auto vm = Other().CreateVm(Vm());
  ASSERT_TRUE(vm.ok()) << vm.error().message;
  ASSERT_TRUE(Other().DeleteVm(vm->vm_id).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kDeleted, vm->vm_id)), (Notes{"created", "deleted"}));
}

TEST_F(EngineWatchTest, ARestartBetweenTwoCallsIsToldAsAStopAndAStart) {
  const std::string id = CreateTask();
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Next(0ms, {}).ok());
  ASSERT_TRUE(engine_->StopTask(id).ok());
  ASSERT_TRUE(engine_->ExecTask(id, Shell("true"), 30).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kCommandEnded, id)),
            (Notes{"stopped", "started", "command_began 1", "command_ended 1 0"}));
}

TEST_F(EngineWatchTest, OneIdIsTheOnlyOneThatIsTold) {
  const std::string one = CreateTask();
  const std::string other = CreateTask();
  const auto stream = Watch(one.substr(0, 15));
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(engine_->DeleteTask(other).ok());
  ASSERT_TRUE(engine_->DeleteTask(one).ok());
  std::vector<Event> all;
  while (all.empty() || all.back().kind != Kind::kDeleted) {
    const auto events = stream->Next(60s, {});
    ASSERT_TRUE(events.ok() && !events->empty());
    all.insert(all.end(), events->begin(), events->end());
  }
  for (const Event& event : all) EXPECT_EQ(event.id, one);
}

TEST_F(EngineWatchTest, AnUnknownIdIsAnError) {
  const auto stream = engine_->Watch("task_aaaaaaaaaaaaaaaaaaaaaaaaaa");
  ASSERT_FALSE(stream.ok());
  EXPECT_EQ(stream.error().code, ErrorCode::kNotFound);
}

TEST_F(EngineWatchTest, TheDescriptorBecomesReadableAndAWaitCanBeCancelled) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Next(0ms, {}).ok());
  const sys::UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
  CallIo io;
  io.cancel_fd = cancel.get();
  const auto cancelled = stream->Next(60s, io);
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  ASSERT_TRUE(Other().CreateVm(Vm()).ok());
  pollfd entry{stream->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 60'000), 1);
  const auto events = stream->Next(0ms, {});
  ASSERT_TRUE(events.ok());
  EXPECT_FALSE(events->empty());
}

TEST_F(EngineWatchTest, ALostRegistryIsReadAgainWithoutAnEventForWhatDidNotChange) {
  const std::string id = CreateTask();
  ASSERT_TRUE(engine_->StopTask(id).ok());
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Next(0ms, {}).ok());
  for (const char* name : {"registry.db", "registry.db-wal", "registry.db-shm"}) {
    std::filesystem::remove(state_ / name);
  }
  ASSERT_TRUE(Other().ExecTask(id, Shell("true"), 30).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kCommandEnded, id)).back(), "command_ended 1 0");
}

TEST_F(EngineWatchTest, ATaskThatIsDeletedWhileItsWatchBeginsIsNotFound) {
  const std::string id = CreateTask();
  Context context = FakeContext(Directories(), world_);
  // The watch asks for it when it has found the task and has not looked at it.
  context.builder = [this, id, made = context.builder] {
    EXPECT_TRUE(Other().DeleteTask(id).ok());
    return made();
  };
  const auto stream = LocalEngine(std::move(context)).Watch(id);
  ASSERT_FALSE(stream.ok());
  EXPECT_EQ(stream.error().code, ErrorCode::kNotFound);
}

TEST_F(EngineWatchTest, AReaderThatComesLateGetsEachCommandWithItsEndAndTheStop) {
  const std::string id = CreateTask();
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Next(0ms, {}).ok());
  for (const char* script : {"exit 1", "echo out; exit 2", "exit 3"}) {
    ASSERT_TRUE(Other().ExecTask(id, Shell(script), 30).ok());
  }
  ASSERT_TRUE(Other().StopTask(id).ok());
  EXPECT_EQ(NotesOf(Until(*stream, Kind::kStopped, id)),
            (Notes{"command_began 1", "command_ended 1 1", "command_began 2", "output 2 stdout",
                   "command_ended 2 2", "command_began 3", "command_ended 3 3", "stopped"}));
}

TEST_F(EngineWatchTest, AChangeOnASlowDiskIsToldByTheCallThatNoticesIt) {
  const std::string id = CreateTask();
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  Settle(*stream);
  auto registry = OpenRegistry(FakeContext(Directories(), world_));
  ASSERT_TRUE(registry.ok()) << registry.error().message;
  SlowSync sync;
  auto written = std::async(std::launch::async, [&] {
    return registry->Apply(*InstanceId::Parse(InstanceKind::kTask, id),
                           state::InstanceEvent::kStop);
  });
  EXPECT_EQ(sync.begun.get_future().wait_for(60s), std::future_status::ready);
  auto told = std::async(std::launch::async, [&] { return stream->Next(0ms, {}); });
  // It waits for the writer. If it did not, it would be back long before.
  EXPECT_EQ(told.wait_for(500ms), std::future_status::timeout);
  sync.may_end.set_value();
  EXPECT_TRUE(written.get().ok());
  const auto events = told.get();
  ASSERT_TRUE(events.ok()) << events.error().message;
  EXPECT_EQ(NotesOf(*events), Notes{"stopped"});
}

TEST_F(EngineWatchTest, WhatInotifyLostIsReadAgainAndNoEndIsMissed) {
  const std::string killed = CreateTask();
  const std::string deleted = CreateTask();
  ASSERT_TRUE(engine_->StartTaskCommand(killed, Shell("exec sleep 1000"), 0).ok());
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  Settle(*stream);
  FillInotify();
  KillSupervisor(killed);
  ASSERT_TRUE(Other().DeleteTask(deleted).ok());
  std::vector<Event> events;
  const auto is = [&events](Kind kind, const std::string& id) {
    return std::any_of(events.begin(), events.end(),
                       [&](const Event& event) { return event.kind == kind && event.id == id; });
  };
  for (int i = 0; i < 60 && !(is(Kind::kStopped, killed) && is(Kind::kDeleted, deleted)); ++i) {
    auto next = stream->Next(1s, {});
    ASSERT_TRUE(next.ok()) << next.error().message;
    events.insert(events.end(), next->begin(), next->end());
  }
  EXPECT_TRUE(is(Kind::kCommandEnded, killed));
  EXPECT_TRUE(is(Kind::kStopped, killed));
  EXPECT_TRUE(is(Kind::kDeleted, deleted));

  ASSERT_TRUE(Other().DeleteTask(killed).ok());
  Settle(*stream);
  FillInotify();
  ASSERT_TRUE(Other().PruneEnvironments(Engine::PruneScope::kAll).ok());
  Until(*stream, Kind::kEnvironments, "");
}

TEST_F(EngineWatchTest, AnEnvironmentThatComesOrGoesIsTold) {
  const auto stream = Watch();
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 2; ++i) {
    const auto pulled = Other().PullEnvironment({{"debian:12"}});
    ASSERT_TRUE(pulled.ok()) << pulled.error().message;
    EXPECT_EQ(NotesOf(Until(*stream, Kind::kEnvironments, "")), Notes{"environments_changed"});
    ASSERT_TRUE(Other().PruneEnvironments(Engine::PruneScope::kAll).ok());
    EXPECT_EQ(NotesOf(Until(*stream, Kind::kEnvironments, "")), Notes{"environments_changed"});
  }
}

TEST_F(EngineWatchTest, AWatchOfOneTaskTellsNothingOfEnvironments) {
  const std::string id = CreateTask();
  const auto stream = Watch(id);
  ASSERT_NE(stream, nullptr);
  std::filesystem::remove_all(cache_ / "environments");
  ASSERT_TRUE(Other().StopTask(id).ok());
  std::vector<Event> events;
  while (events.empty() || events.back().kind != Kind::kStopped) {
    const auto next = stream->Next(60s, {});
    ASSERT_TRUE(next.ok() && !next->empty());
    events.insert(events.end(), next->begin(), next->end());
  }
  for (const Event& event : events) EXPECT_EQ(event.id, id);
}

}  // namespace
}  // namespace pyro::engine
