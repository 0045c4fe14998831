// The output of a command of a task, read from the journal's files as they grow. Neither the
// command nor the journal waits for a slow caller.

#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "engine/session/command_session.h"
#include "sys/unique_fd.h"

namespace pyro::engine {

class JournalOutput : public OutputSource {
 public:
  // The files exist already. What is beyond their end at `from` is awaited.
  static Result<std::unique_ptr<JournalOutput>> Open(const std::filesystem::path& task_dir,
                                                     std::int64_t sequence,
                                                     const OutputOffsets& from = {});

  Status Read() override;
  int ReadableFd(OutputStream) const override { return changes_.get(); }
  bool ended() const override { return true; }

 private:
  JournalOutput();

  sys::UniqueFd changes_;  // An inotify descriptor.
  std::array<sys::UniqueFd, 2> files_;
  std::unique_ptr<char[]> chunk_;  // Not zeroed: most reads are of a few bytes.
};

}  // namespace pyro::engine
