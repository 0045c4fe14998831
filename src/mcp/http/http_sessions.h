// Sessions of the legacy era over HTTP.

#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "mcp/http/http_stream.h"
#include "mcp/server/peer.h"

namespace pyro::mcp {

// One client. Thread-safe.
class HttpSession {
 public:
  HttpSession(std::string id, std::string principal);

  const std::string& id() const { return id_; }
  const std::shared_ptr<Peer>& peer() const { return peer_; }
  // Messages that belong to no request go here; for a GET.
  const std::shared_ptr<HttpStream>& standalone() const { return standalone_; }

  // A stream that answers one request, and that the client can come back to; ended ones make room
  // for it.
  std::shared_ptr<HttpStream> NewStream(bool primer);
  // nullptr: there is none of that name any more.
  std::shared_ptr<HttpStream> FindStream(const std::string& name);
  // The answer was sent completely without a stream.
  void Forget(const std::string& name);
  // Drops streams that ended a while ago.
  void Sweep(SteadyTime now);

  void Touch(SteadyTime now);
  SteadyTime used_at() const;
  bool busy() const;  // A connection is open, or a call runs.

 private:
  const std::string id_;
  const std::shared_ptr<HttpStream> standalone_;
  const std::shared_ptr<Peer> peer_;
  mutable std::mutex mutex_;
  std::uint64_t next_stream_ = 1;
  std::map<std::string, std::shared_ptr<HttpStream>> streams_;
  SteadyTime used_at_;
};

// Thread-safe.
class HttpSessions {
 public:
  HttpSessions(std::size_t limit, std::chrono::milliseconds idle) : limit_(limit), idle_(idle) {}

  // Adds it. Returns the sessions that had to make room or were idle too long. nullopt: all are
  // busy.
  struct Added {
    std::shared_ptr<HttpSession> session;
    std::vector<std::shared_ptr<HttpSession>> removed;
  };
  std::optional<Added> Add(const std::string& principal, SteadyTime now);
  std::shared_ptr<HttpSession> Find(std::string_view id, SteadyTime now);
  std::shared_ptr<HttpSession> Remove(std::string_view id);
  std::vector<std::shared_ptr<HttpSession>> RemoveIdle(SteadyTime now);
  std::vector<std::shared_ptr<HttpSession>> TakeAll();

 private:
  const std::size_t limit_;
  const std::chrono::milliseconds idle_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<HttpSession>, std::less<>> sessions_;
};

}  // namespace pyro::mcp
