// A supervisor without a process, a guest or time of its own: a test plays its clients, its guest,
// its record and the clock.

#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/build_id.h"
#include "base/check.h"
#include "state/test_support.h"
#include "supervisor/supervisor.h"
#include "supervisor/testing/fake_timers.h"
#include "sys/files.h"
#include "sys/test_directory.h"
#include "sys/unix_socket.h"
#include "vmm/fake/fake_vmm.h"
#include "vmm/template.h"

namespace pyro::supervisor {

// One end of a connection that carries frames. Never waits.
class FramePeer {
 public:
  explicit FramePeer(int fd) : fd_(fd) {}

  void Send(const wire::Frame& frame) { SendBytes(wire::EncodeFrame(frame)); }
  void SendBytes(const std::string& bytes) {
    (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // Every frame that has arrived since the last call.
  std::vector<wire::Frame> Take() {
    char bytes[64 * 1024];
    ssize_t n = 0;
    while ((n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
      decoder_.Append({bytes, static_cast<std::size_t>(n)});
    }
    ended_ = n == 0;
    std::vector<wire::Frame> frames;
    while (true) {
      auto frame = decoder_.Next();
      PYRO_CHECK(frame.ok());
      if (!*frame) return frames;
      frames.push_back(std::move(**frame));
    }
  }

  // As of the last Take(): the other end has closed it.
  bool ended() const { return ended_; }

 private:
  int fd_;
  wire::FrameDecoder decoder_;
  bool ended_ = false;
};

// Notes what it is told, in order.
class NotingRecord final : public GuestRecord, public CommandJournal {
 public:
  std::vector<std::string> notes;
  bool keeps_journal = false;
  bool creating = false;
  std::optional<std::chrono::milliseconds> waits_for;
  std::optional<std::chrono::seconds> lease_now;  // In its row.
  std::string network_rules_now;                  // In its row.
  std::optional<Error> refuses;                   // What Begin() fails with.
  bool full = false;  // Nothing can be stored until Settle() is called without it.

  CommandJournal* journal() override { return keeps_journal ? this : nullptr; }
  bool unfinished() const override { return creating; }
  void Taken() override { notes.push_back("taken"); }
  Status TakenForTask(const std::string& manifest, const wire::Ready& ready,
                      const std::optional<wire::GuestNetwork>&) override {
    if (refuses) return *refuses;
    keeps_journal = creating = true;
    return Note("taken for " + manifest + " by " + ready.start);
  }
  std::optional<std::chrono::milliseconds> WaitsFor() const override { return waits_for; }
  Status Started(const wire::Ready& ready, const std::optional<wire::GuestNetwork>&) override {
    return Note("started by " + ready.start);
  }
  Result<std::string> NetworkRulesNow() override { return network_rules_now; }
  std::optional<std::chrono::seconds> LeaseNow() override { return lease_now; }
  Status Renewed() override { return Note("renewed"); }
  Status Stopped() override { return Note("stopped"); }
  Status Lost(const std::string& why) override { return Note("lost: " + why); }
  Status Removed() override { return Note("removed"); }

  Result<std::int64_t> Begin(const wire::Exec& exec) override {
    if (refuses) return *refuses;
    notes.push_back("begin " + exec.argv.at(0));
    return ++sequence_;
  }
  void Append(std::int64_t sequence, OutputStream, std::string_view bytes) override {
    notes.push_back("append " + std::to_string(sequence) + " " + std::string(bytes));
    unsettled_ = full;
  }
  void End(std::int64_t sequence, const CommandEnd& end) override {
    notes.push_back("end " + std::to_string(sequence) + " " + std::string(Name(end.outcome)));
    unsettled_ = full;
  }
  bool settled() const override { return !unsettled_; }
  void Settle() override {
    notes.push_back("settle");
    unsettled_ = full;
  }

  // How many of the notes are this one.
  std::ptrdiff_t Count(const std::string& note) const {
    return std::count(notes.begin(), notes.end(), note);
  }

 private:
  Status Note(std::string note) {
    notes.push_back(std::move(note));
    return OkStatus();
  }

  std::int64_t sequence_ = 0;
  bool unsettled_ = false;
};

class NotingHelpers final : public Helpers {
 public:
  int template_makers = 0;
  int spare_fillers = 0;

  void StartTemplateMaker(const wire::SupervisorConfig&) override { ++template_makers; }
  void StartSpareFiller(const wire::SupervisorConfig&) override { ++spare_fillers; }
};

class SupervisorFixture : public ::testing::Test {
 protected:
  using Frames = std::vector<wire::Frame>;
  using Type = wire::FrameType;

  SupervisorFixture() {
    for (const char* name : {"kernel", "initrd", "base", "data.img", "blank"}) {
      std::ofstream(directory_.path() / name) << "old " << name;
    }
    config_.id = state::TestId(1).str();
    config_.state_dir = directory_.path();
    config_.directory = directory_.path();
    config_.kernel = directory_.path() / "kernel";
    config_.initrd = directory_.path() / "initrd";
    config_.base_disk = directory_.path() / "base";
  }

  // A client that has connected, but not greeted.
  FramePeer& Connect() {
    auto socket = sys::ConnectUnix(directory_.path() / "control.sock");
    PYRO_CHECK(socket.ok());
    sockets_.push_back(std::move(*socket));
    peers_.push_back(std::make_unique<FramePeer>(sockets_.back().get()));
    Run();
    return *peers_.back();
  }

  // One that has greeted, and was answered.
  FramePeer& Client() {
    FramePeer& client = Connect();
    client.Send(ClientHello());
    Run();
    return client;
  }

  void HangUp(const FramePeer& client) {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      if (peers_[i].get() == &client) sockets_[i].Reset();
    }
    Run();
  }

  // The guest's template lies in the state directory, if there is one.
  void ConfigureTemplate() {
    config_.templ.directory = directory_.path() / "templates" / "one";
    config_.templ.key = "key";
  }

  // Makes it, with a disk if the guest has one.
  void WriteTemplate(std::string_view state = "frozen fake") {
    ConfigureTemplate();
    ASSERT_TRUE(sys::MakeDirectories(config_.templ.directory.parent_path()).ok());
    auto draft = vmm::TemplateDraft::Begin(config_.templ.directory, config_.templ.key, 1);
    ASSERT_TRUE(draft.ok() && draft->has_value());
    {
      const auto files = (*draft)->MakeFiles();
      ASSERT_TRUE(files.ok());
      ASSERT_TRUE(sys::WriteAll(files->memory.get(), "memory").ok());
      ASSERT_TRUE(sys::WriteAll(files->state.get(), state).ok());
      if (!config_.blank_disk.empty()) {
        ASSERT_TRUE((*draft)->MakeDisk(directory_.path() / "template-disk").ok());
      }
    }
    ASSERT_TRUE((*draft)
                    ->Commit({.environment = "debian:12",
                              .environment_digest = "d",
                              .new_disk = !config_.blank_disk.empty(),
                              .data_disk_bytes = static_cast<std::int64_t>(DiskText().size())})
                    .ok());
  }

  static wire::Frame ClientHello() {
    wire::Hello hello;
    hello.role = "client";
    return hello.ToFrame();
  }

  // Starts the supervisor; from here on its machine runs, unless it could not.
  void Begin() {
    supervisor_.emplace(loop_, config_,
                        Supervisor::Seams{.vmm = vmm_,
                                          .record = record_,
                                          .clock = clock_,
                                          .timers = timers_,
                                          .helpers = helpers_});
    supervisor_->OnEnd([this] { ++ends_; });
    supervisor_->OnReady([this] { ++readies_; });
    ASSERT_TRUE(supervisor_->Listen().ok());
    supervisor_->Start();
    Run();
  }

  // Lets everything happen that can without time passing.
  void Run() {
    do loop_.restart();
    while (loop_.poll() > 0);
  }

  void Pass(std::chrono::milliseconds time) {
    clock_.Advance(time);
    timers_.Advance(time);
    Run();
  }

  vmm::FakeGuest Guest() { return vmm_.guests().back(); }
  // The agent's end, of the latest machine.
  FramePeer& Agent() {
    std::unique_ptr<FramePeer>& agent = agents_[vmm_.guests().size()];
    if (!agent) agent = std::make_unique<FramePeer>(Guest().channel());
    return *agent;
  }

  void AgentSays(const wire::Frame& frame) {
    Agent().Send(frame);
    Run();
  }

  void AgentGreets(std::string_view build = BuildId()) {
    AgentSays(wire::Hello{wire::kProtocolVersion, "agent", std::string(build), "6.1"}.ToFrame());
  }

  void AgentIsReady() {
    wire::Ready ready;
    ready.kernel = "6.1";
    AgentSays(ready.ToFrame());
  }

  // From Begin() to a guest that takes commands.
  void BeginReady() {
    ASSERT_NO_FATAL_FAILURE(Begin());
    AgentGreets();
    AgentIsReady();
    ASSERT_EQ(readies_, 1);
    Agent().Take();
  }

  static wire::Frame Exec(std::uint32_t channel, const std::string& word, bool journal = false,
                          std::int64_t timeout_ms = 0) {
    wire::Exec exec;
    exec.argv = {word};
    exec.cwd = "/";
    exec.timeout_ms = timeout_ms;
    exec.journal = journal;
    return exec.ToFrame(channel);
  }

  // The guest's command on `channel` says that it ends, in all the frames that takes.
  void AgentBegins(std::uint32_t channel) { AgentSays(wire::Plain(Type::kStarted, channel)); }

  // Of a command that it has begun, or begins now.
  void AgentEnds(std::uint32_t channel, int code = 0, Outcome outcome = Outcome::kExited,
                 bool begun = false) {
    if (!begun) Agent().Send(wire::Plain(Type::kStarted, channel));
    Agent().SendBytes(wire::EncodeEof(channel, wire::Stream::kStdout));
    Agent().SendBytes(wire::EncodeEof(channel, wire::Stream::kStderr));
    wire::Exited exited;
    exited.outcome = outcome;
    exited.code = code;
    AgentSays(exited.ToFrame(channel));
  }

  static bool Has(const Frames& frames, Type type) { return Find(frames, type) != nullptr; }
  static const wire::Frame* Find(const Frames& frames, Type type) {
    for (const wire::Frame& frame : frames) {
      if (frame.type == type) return &frame;
    }
    return nullptr;
  }
  // The message of the error among them, or "".
  static std::string ErrorIn(const Frames& frames) {
    const wire::Frame* frame = Find(frames, Type::kError);
    return frame == nullptr ? "" : wire::ErrorFromFrame(*frame).message;
  }

  // The loop has nothing left: the process would end.
  bool Over() {
    loop_.restart();
    while (loop_.poll() > 0) loop_.restart();
    return loop_.stopped();
  }

  std::string DiskText() { return *sys::ReadFile(directory_.path() / "data.img", 1000); }

  sys::TestDirectory directory_;
  wire::SupervisorConfig config_;
  vmm::FakeVmm vmm_;
  NotingRecord record_;
  state::TestClock clock_;
  FakeTimers timers_;
  NotingHelpers helpers_;
  boost::asio::io_context loop_{1};
  std::optional<Supervisor> supervisor_;
  int ends_ = 0;
  int readies_ = 0;

 private:
  std::vector<sys::UniqueFd> sockets_;
  std::vector<std::unique_ptr<FramePeer>> peers_;
  std::map<std::size_t, std::unique_ptr<FramePeer>> agents_;
};

}  // namespace pyro::supervisor
