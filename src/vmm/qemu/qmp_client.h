// A conversation with QEMU's monitor over a connected socket.

#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "vmm/qemu/qmp_parser.h"

namespace pyro::vmm::qemu {

struct QmpEvent {
  std::string name;
  Json data;
};

// Blocks, never beyond the deadline. Not thread-safe.
class QmpClient {
 public:
  explicit QmpClient(sys::UniqueFd socket);

  // Reads the greeting and ends the negotiation of capabilities. Call it first.
  Status Handshake(Deadline deadline);

  // Of QEMU: "7.2.22". Empty before the handshake, or if the greeting does not say.
  const std::string& version() const { return version_; }

  // Sends a command and returns what it returns; events that come in between are kept.
  // kGuestUnavailable: the monitor has closed. kTimedOut, kProtocol: no later call will work
  // either, because the answers can no longer be matched. kInternal: QEMU refused the command.
  Result<Json> Execute(std::string_view command, const Json& arguments, Deadline deadline);

  // The same for a command that takes a descriptor along; `fd` is borrowed.
  Result<Json> ExecuteWithDescriptor(std::string_view command, const Json& arguments, int fd,
                                     Deadline deadline);

  // Waits for the next event of that name; those that come before it are dropped. Errors as for
  // Execute(), without kInternal.
  Result<QmpEvent> AwaitEvent(std::string_view name, Deadline deadline);

  // The oldest event not yet taken, of those that have arrived; nullopt if there is none. Never
  // waits, and has no errors: a monitor that is gone has no more events.
  std::optional<QmpEvent> TakeEvent();

 private:
  Result<QmpMessage> ReadMessage(Deadline deadline);
  Result<Json> AwaitAnswer(std::string_view command, std::int64_t id, Deadline deadline);
  Status SendLine(std::string_view line, int fd, Deadline deadline);
  Result<bool> ReadMore(Deadline deadline);  // False: end of stream.
  void Keep(QmpMessage message);

  sys::UniqueFd socket_;
  QmpParser parser_;
  std::string version_;
  std::deque<QmpEvent> events_;  // At most kMaxEvents; the oldest are dropped.
  std::int64_t next_id_ = 1;
  bool failed_ = false;
};

}  // namespace pyro::vmm::qemu
