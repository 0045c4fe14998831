// One client at the control socket.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "supervisor/command_router.h"
#include "supervisor/frame_stream.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// Belongs to the loop's thread.
class Session {
 public:
  struct Callbacks {
    std::function<void(ClientId)> greeted;  // Its hello was valid; it may get frames now.
    std::function<Status(ClientId, wire::Frame)> command_frame;
    std::function<void(ClientId, wire::Stop)> stop;
    std::function<Status(ClientId, wire::Claim)> claim;
    std::function<void(ClientId)> gone;  // Last call; the session may be destroyed in it.
  };

  Session(ClientId id, std::shared_ptr<FrameStream> stream, Callbacks callbacks);
  ~Session() { stream_->Close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start();
  void Send(std::string bytes) { stream_->Send(std::move(bytes)); }
  bool greeted() const { return greeted_; }

  // Sends the queue, then closes, without calling `gone`.
  void Finish() { stream_->CloseWhenSent(); }

  // Sends the client the error, then closes, without calling `gone`.
  void Refuse(const Error& error);

 private:
  Status OnFrame(wire::Frame frame);
  Status OnHello(const wire::Frame& frame);

  ClientId id_;
  std::shared_ptr<FrameStream> stream_;
  Callbacks callbacks_;
  bool greeted_ = false;
};

}  // namespace pyro::supervisor
