// The loop of the agent: one thread, one poll(2).
//
// In every round the events to wait for follow from the state of the session and of the commands.
// So a stream without credit, or a full queue, is simply not polled, and no wait must be cancelled
// or resumed. For that reason, and for its size in the initramfs, it is not Asio.

#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/answers.h"
#include "agent/command.h"
#include "agent/disk_sync.h"
#include "agent/guest_clock.h"
#include "agent/process_tree.h"
#include "agent/session.h"
#include "agent/trust.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

struct AgentOptions {
  sys::UniqueFd port;  // The byte stream to the host; non-blocking.
  std::string build;
  std::string kernel;
  ProcessTrees* trees = nullptr;  // Borrowed.
  Command::Limits limits;         // Of every command.
  // Runs FileProgram() if its first word is kFileProgram. Not valid: nothing does.
  sys::UniqueFd file_program;
  // The data disk's own directory, or -1. Empty: there is none.
  std::function<int()> data_disk;
  std::function<Status(const wire::GuestSetup&)> setup;
  GuestClock* clock = nullptr;  // Borrowed; nullptr where it is not the guest's own.
  DiskSync::Function sync;      // For commands that want it.
  std::vector<Answerer> answerers = GuestAnswerers();
};

// Not thread-safe; at most one per process, because it reaps every child of the process. Blocks
// SIGCHLD and ignores SIGPIPE for good.
class Agent : private Guest {
 public:
  static Result<std::unique_ptr<Agent>> Create(AgentOptions options);

  // Ends the connection after a failure before Serve().
  void Fail(const Error& error) { session_.Fail(error); }

  // Says hello and serves the host until it asks for the power-off. Then the queue is sent, if the
  // host takes it within a second. An error is the reason for the session's failure, which the host
  // knows, or the loss of the port. Commands may still run.
  Status Serve();

  // For after Serve(): the first process of each command gets the signal. Returns when all of them
  // have exited, or after the limit. Their output is dropped.
  void EndCommands(int signal, std::chrono::milliseconds limit);

 private:
  Agent(AgentOptions options, sys::UniqueFd signals, std::unique_ptr<DiskSync> sync,
        std::unique_ptr<Answers> answers);

  Status Setup(const wire::GuestSetup& setup) override;
  ClockReading ReadClock() override {
    return options_.clock == nullptr ? ClockReading{} : options_.clock->Read();
  }
  void MoveClock(const wire::SetClock& by) override {
    if (options_.clock != nullptr) options_.clock->Move(by);
  }
  std::string Shell() override { return std::string(ImageShell()); }
  Status Start(std::uint32_t channel, const wire::Exec& exec) override;
  bool Kill(std::uint32_t channel) override;
  Status Ask(std::uint32_t channel, const wire::Ask& ask) override;

  void Wait();
  void Reap();
  void ServeCommands();
  void Discard();
  void CollectEnded();
  Status WritePort();
  Status ReadPort();
  Status Flush();

  AgentOptions options_;
  Session session_;
  sys::UniqueFd signals_;
  std::unique_ptr<DiskSync> sync_;
  std::unique_ptr<Answers> answers_;
  std::map<std::uint32_t, std::unique_ptr<Command>> commands_;
  std::uint32_t turn_ = 0;                // The channel served first in the last round.
  std::vector<sys::UniqueFd> discarded_;  // Pipes whose command is over.
  std::vector<std::unique_ptr<ProcessTree>> remnants_;  // Trees whose command is over.
  std::vector<pollfd> polls_;
  std::vector<char> buffer_;
  Trust trust_;
  std::map<std::string, std::string> variables_;  // Of every command.
  bool host_absent_ = false;                      // The port said so; ask again a little later.
};

}  // namespace pyro::agent
