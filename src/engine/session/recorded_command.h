// A command as the journal has it, running or ended.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/time.h"
#include "engine/context.h"
#include "engine/instance/instance_files.h"
#include "engine/session/command_session.h"
#include "engine/session/journal_output.h"
#include "state/journal/command_record.h"
#include "sys/unique_fd.h"

namespace pyro::engine {

// Over when the command has ended, or at a time that the caller sets: then command() is as of that
// time.
class RecordedCommand : public RunningCommand {
 public:
  // kNotFound: no such task or command. `context` is borrowed.
  static Result<RecordedCommand> Open(const Context& context, const std::string& task_id,
                                      std::int64_t sequence, Deadline until);

  // Gives the session the command's output.
  Status OpenOutput(const OutputOffsets& from = {});
  // Looks again also when this file of a running command has grown. A missing file counts as empty
  // for good.
  Status Follow(const std::filesystem::path& file);

  const state::CommandRecord& command() const { return command_; }
  const std::filesystem::path& directory() const { return directory_; }
  const std::string& accelerator() const { return found_.instance.accelerator; }
  bool ended() const { return command_.end.has_value(); }

  Polls polls() const override { return {{{over() ? -1 : changes_.get(), POLLIN, 0}, {-1, 0, 0}}}; }
  Deadline next_look() const override;
  Status Advance(const Polls& polls, SteadyTime now) override;
  bool over() const override { return over_; }
  OutputSource* output() override { return output_.get(); }

 private:
  RecordedCommand(const Context& context, Found found, state::CommandRecord command,
                  Deadline until);

  const Context& context_;
  Found found_;
  state::CommandRecord command_;
  std::filesystem::path directory_;
  Deadline until_;
  Deadline next_look_;
  Deadline next_reap_;
  std::chrono::milliseconds look_;
  bool over_;
  sys::UniqueFd changes_;  // An inotify descriptor.
  std::unique_ptr<JournalOutput> output_;
};

}  // namespace pyro::engine
