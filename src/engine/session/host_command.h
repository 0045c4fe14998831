// A command that is a process of this host, behind three pipes.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/command.h"
#include "base/time.h"
#include "engine/session/command_session.h"
#include "sys/child_process.h"
#include "sys/unique_fd.h"

namespace pyro::engine {

// Output of a process and its children.
class PipeOutput : public OutputSource {
 public:
  // Non-blocking.
  PipeOutput(sys::UniqueFd out, sys::UniqueFd err) : pipes_{std::move(out), std::move(err)} {}

  Status Read() override;
  int ReadableFd(OutputStream stream) const override {
    return pipes_[static_cast<std::size_t>(stream)].get();
  }
  bool ended() const override { return !pipes_[0].valid() && !pipes_[1].valid(); }

  std::uint64_t total(OutputStream stream) const {
    return totals_[static_cast<std::size_t>(stream)];
  }

 private:
  std::array<sys::UniqueFd, 2> pipes_;
  std::array<std::uint64_t, 2> totals_ = {};
};

// Dies with this object.
class HostCommand : public RunningCommand {
 public:
  // Starts it; `spawn` without the three descriptors. It is killed after `limit`; 0: never. The
  // errors are those of Spawn. No process may be left to write when the first one has ended.
  static Result<HostCommand> Start(sys::SpawnOptions spawn, std::chrono::milliseconds limit);

  Polls polls() const override;
  Deadline next_look() const override { return over() ? Deadline::Never() : limit_; }
  Status Advance(const Polls& polls, SteadyTime now) override;
  bool over() const override { return status_.has_value(); }
  OutputSource* output() override { return &output_; }

  std::size_t input_room() const override;
  void Input(std::string_view bytes) override;
  void EndInput() override { input_.Reset(); }

  // Once all output was read.
  CommandEnd end() const;

 private:
  HostCommand(sys::ChildProcess child, sys::UniqueFd input, PipeOutput output, Deadline limit)
      : child_(std::move(child)),
        input_(std::move(input)),
        output_(std::move(output)),
        limit_(limit) {}
  void WriteInput();

  sys::ChildProcess child_;
  sys::UniqueFd input_;
  std::string unwritten_;  // Of the input.
  PipeOutput output_;
  Deadline limit_;
  bool timed_out_ = false;
  SteadyTime began_ = std::chrono::steady_clock::now();
  SteadyTime ended_{};
  std::optional<sys::ExitStatus> status_;
};

}  // namespace pyro::engine
