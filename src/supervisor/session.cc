#include "supervisor/session.h"

#include <utility>

#include <fmt/format.h>

#include "base/build_id.h"
#include "base/try.h"

namespace pyro::supervisor {

void Session::Start() {
  stream_->Start([this](wire::Frame frame) { return OnFrame(std::move(frame)); },
                 [this](std::optional<Error> error) {
                   if (error) stream_->Send(EncodeFrame(wire::ErrorFrame(0, *error)));
                   stream_->CloseWhenSent();
                   requests_.ClientGone(id_);
                 });
}

void Session::Refuse(const Error& error) {
  Send(EncodeFrame(wire::ErrorFrame(0, error)));
  Finish();
}

Status Session::OnHello(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Hello hello, wire::Hello::FromFrame(frame));
  if (hello.protocol != wire::kProtocolVersion || hello.role != "client") {
    return MakeError(ErrorCode::kProtocol,
                     fmt::format("the supervisor speaks protocol {}, its client {}",
                                 wire::kProtocolVersion, hello.protocol),
                     "use the pyro that started this VM, or delete the VM and create it again");
  }
  greeted_ = true;
  wire::Hello answer;
  answer.role = "supervisor";
  answer.build = BuildId();
  Send(EncodeFrame(answer.ToFrame()));
  requests_.ClientGreeted(id_);
  return OkStatus();
}

Status Session::OnFrame(wire::Frame frame) {
  if (!greeted_) {
    if (frame.type != wire::FrameType::kHello) {
      return MakeError(ErrorCode::kProtocol, "the first frame is not a hello");
    }
    return OnHello(frame);
  }
  if (frame.type == wire::FrameType::kStop) {
    PYRO_ASSIGN_OR_RETURN(const wire::Stop stop, wire::Stop::FromFrame(frame));
    return requests_.StopAsked(stop);
  }
  if (frame.type == wire::FrameType::kClaim) {
    PYRO_ASSIGN_OR_RETURN(const wire::Claim claim, wire::Claim::FromFrame(frame));
    return requests_.ClaimAsked(id_, claim);
  }
  if (frame.type == wire::FrameType::kNetRules) return requests_.NetworkRulesAsked(id_);
  return requests_.FromClient(id_, std::move(frame));
}

}  // namespace pyro::supervisor
