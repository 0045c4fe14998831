// One client at the control socket.

#pragma once

#include <memory>
#include <string>
#include <utility>

#include "supervisor/command_router.h"
#include "supervisor/frame_stream.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// What clients ask for. An error is a breach of the protocol: the client gets it, and is
// disconnected.
class ClientRequests {
 public:
  virtual ~ClientRequests() = default;
  virtual void ClientGreeted(ClientId client) = 0;  // Its hello was valid; it may get frames now.
  virtual Status FromClient(ClientId client, wire::Frame frame) = 0;  // A command's frame.
  virtual Status StopAsked(const wire::Stop& stop) = 0;
  virtual Status ClaimAsked(ClientId client, const wire::Claim& claim) = 0;
  virtual Status NetworkRulesAsked(ClientId client) = 0;
  // The last call for this client; its session may be destroyed in it.
  virtual void ClientGone(ClientId client) = 0;
};

// Belongs to the loop's thread. `requests` is borrowed.
class Session {
 public:
  Session(ClientId id, std::shared_ptr<FrameStream> stream, ClientRequests& requests)
      : id_(id), stream_(std::move(stream)), requests_(requests) {}
  ~Session() { stream_->Close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start();
  void Send(std::string bytes) { stream_->Send(std::move(bytes)); }
  bool greeted() const { return greeted_; }

  // Sends the queue, then closes, without calling ClientGone().
  void Finish() { stream_->CloseWhenSent(); }

  // Sends the client the error, then closes, without calling ClientGone().
  void Refuse(const Error& error);

 private:
  Status OnFrame(wire::Frame frame);
  Status OnHello(const wire::Frame& frame);

  ClientId id_;
  std::shared_ptr<FrameStream> stream_;
  ClientRequests& requests_;
  bool greeted_ = false;
};

}  // namespace pyro::supervisor
