// Progress, limits and cancellation of one operation.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "archive/operation.h"
#include "base/time.h"
#include "pyro/result.h"

namespace pyro::archive {

class Meter {
 public:
  // `operation` is borrowed.
  explicit Meter(const Operation& operation) : operation_(operation) {}
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  // Waits until `fd` is ready for `events` of poll(2), or failed. kCancelled.
  Status Wait(int fd, short events);

  // All of it. A blocking pipe is given no more at once than it takes without a wait, so that a
  // reader that stands still holds up no cancellation.
  Status Write(int fd, std::string_view bytes);

  // kCancelled, kLimit.
  Status CountEntry();
  Status CountBytes(std::uint64_t bytes);

  void CountContent(std::uint64_t bytes) { summary_.content_bytes += bytes; }
  void CountSkipped(const std::string& name);
  void CountChanged(const std::string& name);
  void CountOwn(const std::string& name);
  // If `text`, the content or target of the entry `name`, leads git out of the tree.
  void NoteGitPath(const std::string& name, std::string_view text, bool symlink);
  void CountTrailing(std::uint64_t bytes) { summary_.trailing_bytes += bytes; }

  // Reports the progress once more.
  void Finish();

  const Summary& summary() const { return summary_; }

 private:
  void Tell();

  const Operation& operation_;
  Summary summary_;
  SteadyTime next_tell_;
};

}  // namespace pyro::archive
