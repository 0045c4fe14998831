// One journaled command: stdin goes to the guest, the output is read from the journal's files as
// they grow. Neither the command nor the journal waits for a slow caller.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/time.h"
#include "engine/relay_channel.h"
#include "engine/supervisor_link.h"
#include "pyro/engine.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::engine {

// The two output files of one command, copied to a sink. Belongs to one thread.
class JournalTail {
 public:
  // The files exist already.
  static Result<JournalTail> Open(const std::filesystem::path& task_dir, std::int64_t sequence,
                                  OutputSink& sink);

  // Readable when the files have grown. Borrowed.
  int changed_fd() const { return inotify_.get(); }

  // Gives the sink the present output, as far as it takes it without waiting. An error of the sink
  // ends it.
  Status Copy();

  // The sink has all bytes that were in the files at the last Copy().
  bool drained() const { return streams_[0].pending.empty() && streams_[1].pending.empty(); }
  // The descriptor of a sink that is not ready, or -1.
  int WaitFd(int stream) const;

  SteadyTime first_output_at() const { return first_output_at_; }

 private:
  struct Stream {
    OutputStream stream = OutputStream::kStdout;
    sys::UniqueFd file;
    std::string pending;
  };
  explicit JournalTail(OutputSink& sink) : sink_(&sink) {}

  OutputSink* sink_;
  sys::UniqueFd inotify_;
  Stream streams_[2];
  SteadyTime first_output_at_{};
};

struct TaskRelayResult : RelayResult {
  std::int64_t sequence = 0;
};

// Returns when the command has ended and the sink has all its output. kCancelled: it was killed and
// is recorded so. Dropping the link in the middle leaves it running.
Result<TaskRelayResult> RelayTaskCommand(SupervisorLink& link, const wire::Exec& exec,
                                         const std::filesystem::path& task_dir, OutputSink& sink,
                                         const CallIo& io);

}  // namespace pyro::engine
