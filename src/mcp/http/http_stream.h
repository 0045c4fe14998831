// The answer to one POST, or the stream of a GET: filled by threads that run handlers, emptied by a
// connection, which may leave and come back.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "mcp/protocol/sink.h"

namespace pyro::mcp {

// Thread-safe.
class HttpStream final : public Sink {
 public:
  struct Options {
    std::string name;      // Part of event ids. Empty: events have none, and are not kept.
    bool primer = false;   // The client knows events without a message (2025-11-25).
    bool endless = false;  // Not the answer to a request.
  };
  explicit HttpStream(Options options) : options_(std::move(options)) {}

  // Sink.
  void Send(const Json& message, Kind kind) override;
  void Finish(const Json& response, int http_status) override;
  void Drop() override;
  void Release() override;

  const std::string& name() const { return options_.name; }
  // From now on the client knows events without a message.
  void AllowPrimer();

  // A connection takes the stream, from the event after `after` on (0: all kept events, kNow: only
  // new ones). A connection that had it before loses it. `wake` is called, from any thread, when
  // there is an event to take; it must not call back. Returns the ticket for the calls below.
  static constexpr std::uint64_t kNow = UINT64_MAX;
  std::uint64_t Attach(std::uint64_t after, std::function<void()> wake);
  void Detach(std::uint64_t ticket);
  bool attached() const;

  // The next step of a connection that has not written yet.
  enum class Opening {
    kWait,    // No event yet.
    kStream,  // There is more to come than one answer.
    kAnswer,  // TakeAnswer gives all of it.
  };
  Opening opening() const;
  struct Answer {
    std::string json;
    int http_status = 200;
  };
  Answer TakeAnswer();

  // The next bytes of the stream. The first call gives the primer if there is one.
  struct Piece {
    std::string bytes;  // May be empty.
    enum class Then { kMore, kEnd, kRelease, kLost } then = Then::kMore;
  };
  Piece Take(std::uint64_t ticket);

  // Bytes that are held, taken or not.
  std::size_t kept_bytes() const;

  // The time at which the last event was taken after the end.
  std::optional<SteadyTime> finished_at() const;

 private:
  struct Event {
    std::uint64_t number;
    std::string json;
    Kind kind;
  };

  void Push(std::string json, Kind kind);  // With the lock held.
  void Wake(std::unique_lock<std::mutex> lock);

  Options options_;
  mutable std::mutex mutex_;
  std::deque<Event> events_;
  std::size_t bytes_ = 0;    // Of all kept events.
  std::size_t waiting_ = 0;  // Of the events not taken yet.
  std::uint64_t next_number_ = 1;
  std::uint64_t cursor_ = 0;  // The last event that was taken.
  bool primed_ = false;
  bool released_ = false;
  bool ended_ = false;
  bool dropped_ = false;
  bool overflowed_ = false;
  int http_status_ = 200;
  std::optional<SteadyTime> finished_at_;
  std::uint64_t ticket_ = 0;  // Of the connection that has it.
  bool attached_ = false;
  bool ever_attached_ = false;
  std::function<void()> wake_;
};

}  // namespace pyro::mcp
