// One running command: its first process, its three pipes, its process tree.

#pragma once

#include <poll.h>
#include <sys/resource.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/disk_sync.h"
#include "agent/process_tree.h"
#include "agent/session.h"
#include "agent/users.h"
#include "base/time.h"
#include "pyro/result.h"
#include "sys/child_process.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {

// The first of wire::kShells that this root file system has.
std::string_view ImageShell();

// The environment that a command of that user sees: defaults, `of_guest` over them, and `exec.env`
// over these, as NAME=value. `user`: empty for the agent's own, root.
std::vector<std::string> CommandEnvironment(
    const wire::Exec& exec, const std::optional<User>& user = {},
    const std::map<std::string, std::string>& of_guest = {});

// Moves bytes between the pipes and the session without ever waiting. Not thread-safe.
class Command {
 public:
  using Limits = std::vector<std::pair<int, rlimit>>;

  // What commands are started with.
  struct Place {
    ProcessTrees& trees;
    const Limits& limits;
    DiskSync& sync;    // Of commands that ask for it; outlives them.
    int file_program;  // Borrowed, open: carries out operations on files. -1: there is none.
    int data_disk;     // Borrowed: its own directory, for those operations. -1: there is none.
    // Of every command, unless it says otherwise.
    const std::map<std::string, std::string>& variables;
  };

  // See Guest::Start(). A command that could not be started leaves no process and no descriptor.
  static Result<std::unique_ptr<Command>> Start(std::uint32_t channel, const wire::Exec& exec,
                                                const Place& place);

  std::uint32_t channel() const { return channel_; }
  pid_t pid() const { return child_.pid(); }
  std::int64_t sequence() const { return sequence_; }  // As of wire::Exec.

  // Adds the descriptors of this command to `polls`; Serve() then reads the answers there. Wait at
  // most PollTimeout() for them: milliseconds, or -1.
  void AddPolls(const Session& session, std::vector<pollfd>& polls);
  int PollTimeout() const;
  void Serve(Session& session, const std::vector<pollfd>& polls);

  // The first process is dead and may be reaped. The bytes in the pipes now still count as its
  // output; later bytes do not.
  void OnExit(Session& session, SteadyTime now);

  // False when OnExit() came first.
  bool Kill();

  // The same for its first process alone, with a signal that it may handle.
  bool Signal(int signal) { return !status_ && child_.Signal(signal).ok(); }
  bool exited() const { return status_.has_value(); }

  // True once the session was told that the command has ended.
  bool over() const { return over_; }

  // After that: pipes that processes in the background may still write to, and the tree.
  std::vector<sys::UniqueFd> TakePipes();
  std::unique_ptr<ProcessTree> TakeTree() { return std::move(tree_); }

 private:
  struct Output {
    wire::Stream stream;
    sys::UniqueFd fd;
    bool ended = false;
    bool large = false;
    std::size_t left = 0;  // After the exit: bytes that still count.
    int poll = -1;         // Index among the polls of this round.
  };

  Command(std::uint32_t channel, sys::ChildProcess child, std::unique_ptr<ProcessTree> tree)
      : channel_(channel), child_(std::move(child)), tree_(std::move(tree)) {}

  void WriteInput(Session& session, short revents);
  void ReadOutput(Session& session, Output& output);
  void EndOutput(Session& session, Output& output);
  bool LeftOpen() const;  // Now, by any process.
  void FinishIfDone(Session& session);

  const std::uint32_t channel_;
  std::int64_t sequence_ = 0;
  sys::ChildProcess child_;
  std::unique_ptr<ProcessTree> tree_;
  sys::UniqueFd input_;
  bool large_input_ = false;
  int input_poll_ = -1;
  std::array<Output, 2> outputs_ = {Output{wire::Stream::kStdout, {}}, {wire::Stream::kStderr, {}}};
  SteadyTime started_;
  std::optional<sys::ExitStatus> status_;
  std::int64_t duration_us_ = 0;
  bool output_left_open_ = false;  // After the exit, by processes in the background.
  bool settling_ = false;          // Since the exit: one that redirects its output may still do so.
  Deadline settled_at_ = Deadline::Never();
  std::optional<KilledTree> killed_;
  Deadline emptied_at_ = Deadline::Never();  // Of the wait for its processes to go, since the kill.
  DiskSync* sync_ = nullptr;                 // If the command wants it.
  std::uint64_t sync_request_ = 0;           // Of sync_, from the exit on.
  bool over_ = false;
};

}  // namespace pyro::agent
