// Commands of a task: the journal keeps them and their output.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "engine/session/guest_command.h"
#include "engine/session/journal_output.h"

namespace pyro::engine {

// Its output is read from the journal, or comes over the link if the journal does not keep it. A
// command that is killed is over once its end is recorded. Dropping the link in the middle leaves
// it running, and ends one whose output is not kept.
class JournaledCommand : public GuestCommand {
 public:
  // All but `exec` are borrowed.
  JournaledCommand(SupervisorLink& link, const wire::Exec& exec,
                   const std::filesystem::path& task_dir, const CallIo& io);

  OutputSource* output() override {
    return unkept_ ? static_cast<OutputSource*>(&*unkept_) : output_.get();
  }
  bool Kill() override;

  std::int64_t sequence() const { return sequence_; }  // 0: it is not recorded yet.

 private:
  Status Take(const wire::Frame& frame) override;
  Error Lost(Loss loss) const override;
  Error LinkBroke(Error) const override { return Lost(Loss::kGuestDied); }

  const std::filesystem::path& task_dir_;
  std::int64_t sequence_ = 0;
  std::unique_ptr<JournalOutput> output_;  // Once the command is recorded.
  std::optional<FrameOutput> unkept_;      // If the journal does not keep its output.
};

// Over once it is recorded and has its input, or has ended; dropping the link then leaves it
// running. kCancelled: it was not recorded, or is killed. kGuestUnavailable: the guest could not
// start.
class BackgroundCommand : public GuestCommand {
 public:
  // `end`: of its input.
  BackgroundCommand(SupervisorLink& link, const wire::Exec& exec, const CallIo& io,
                    Engine::StdinEnd end = Engine::StdinEnd::kAfterInput);

  bool over() const override { return sequence_ > 0 && input_ended_ && link().unsent() == 0; }
  bool Kill() override;
  void EndInput() override;

  std::int64_t sequence() const { return sequence_; }

 private:
  Status Take(const wire::Frame& frame) override;

  const Engine::StdinEnd end_;
  std::int64_t sequence_ = 0;
  bool input_ended_ = false;
};

// Kills the command of a sequence, of any client. Over once that command's end is recorded, or
// cannot be recorded. kNotFound: it does not run.
class CommandKiller : public GuestCommand {
 public:
  CommandKiller(SupervisorLink& link, std::int64_t sequence, const CallIo& io);

  bool over() const override { return done_; }
  std::size_t input_room() const override { return 0; }
  void EndInput() override {}

 private:
  Status Take(const wire::Frame& frame) override;

  bool done_ = false;
};

}  // namespace pyro::engine
