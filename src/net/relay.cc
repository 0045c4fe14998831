#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "base/try.h"
#include "jail/confine.h"
#include "jail/jail.h"
#include "net/egress.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/gate.h"
#include "net/gate_control.h"
#include "net/served_stack.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

// Beyond this, frames to a guest that does not read are dropped, as a full wire would.
constexpr std::size_t kMaxWaiting = 1024 * 1024;
constexpr std::uint32_t kLongestPollMs = 60 * 1000;

class RelaySink : public FrameSink {
 public:
  RelaySink(FrameEnd& guest, FrameEnd& outside) : guest_(guest), outside_(outside) {}
  void ToGuest(Frame frame) override {
    if (guest_.pending() < kMaxWaiting) AppendFrame(guest_.output(), frame);
  }
  void ToOutside(Frame frame) override { AppendFrame(outside_.output(), frame); }
  void ToServed(Frame frame) override {
    if (served) served->Input(frame);
  }

  std::unique_ptr<ServedStack> served;

 private:
  FrameEnd& guest_;
  FrameEnd& outside_;
};

using Handler = void (Egress::*)(Frame, SteadyTime);

// Takes the bytes of one side, frame by frame.
Status Filter(FrameEnd& from, FrameReader& reader, Egress& egress, Handler handler,
              SocketState& state) {
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, from.Read(state));
  reader.Feed(bytes);
  const SteadyTime now = std::chrono::steady_clock::now();
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return OkStatus();
    (egress.*handler)(*frame, now);
  }
}

// A side is read only when the other has taken all earlier bytes: so memory stays bounded.
short Wanted(const FrameEnd& from, const FrameEnd& to) {
  return static_cast<short>((to.pending() == 0 ? POLLIN : 0) | (from.pending() > 0 ? POLLOUT : 0));
}

}  // namespace

Status RunRelay(const GateFds& fds, vmm::FrameForm form) {
  FrameEnd guest(fds.guest, form);
  FrameEnd outside(fds.outside, vmm::FrameForm::kStream);
  RelaySink sink(guest, outside);
  Egress egress(sink, std::random_device()());
  GateControl control(fds.control, egress);
  PYRO_RETURN_IF_ERROR(control.AwaitPolicy());
  if (fds.proxy >= 0) {
    PYRO_ASSIGN_OR_RETURN(
        sink.served,
        ServedStack::Make(fds.proxy, egress.served(), jail::kJailMemory, [&egress](Frame frame) {
          egress.FromOutside(frame, std::chrono::steady_clock::now());
        }));
  }
  PYRO_RETURN_IF_ERROR(
      jail::Confine(sink.served ? jail::Confined::kServedRelay : jail::Confined::kRelay));
  std::vector<pollfd> entries;
  FrameReader leaving;
  FrameReader arriving;
  SocketState state = SocketState::kOpen;
  while (state == SocketState::kOpen) {
    entries = {{.fd = fds.guest, .events = Wanted(guest, outside), .revents = 0},
               {.fd = fds.outside, .events = Wanted(outside, guest), .revents = 0},
               {.fd = fds.control, .events = POLLIN, .revents = 0}};
    std::uint32_t timeout = kLongestPollMs;
    if (const int telling = control.PollTimeout(); telling >= 0) {
      timeout = std::min(timeout, static_cast<std::uint32_t>(telling));
    }
    if (sink.served) sink.served->Fill(entries, timeout);
    const int ready =
        ::poll(entries.data(), entries.size(), static_cast<int>(std::min(timeout, kLongestPollMs)));
    if (ready < 0) {
      if (errno == EINTR) continue;
      return sys::ErrnoError(errno, "poll");
    }
    if (sink.served) sink.served->Serve(entries, false);
    const bool guest_gone = (entries[0].revents & (POLLHUP | POLLERR)) != 0;
    const bool outside_gone = (entries[1].revents & (POLLHUP | POLLERR)) != 0;
    if (entries[2].revents != 0) PYRO_RETURN_IF_ERROR(control.Take(state));
    if ((entries[0].revents & POLLIN) != 0) {
      PYRO_RETURN_IF_ERROR(Filter(guest, leaving, egress, &Egress::FromGuest, state));
    }
    if ((entries[1].revents & POLLIN) != 0) {
      PYRO_RETURN_IF_ERROR(Filter(outside, arriving, egress, &Egress::FromOutside, state));
    }
    // First: the command that a refusal ends must not be over before it is told.
    control.Tell();
    PYRO_RETURN_IF_ERROR(guest.Flush(state));
    PYRO_RETURN_IF_ERROR(outside.Flush(state));
    if (guest_gone || outside_gone) state = SocketState::kClosed;
  }
  return OkStatus();
}

}  // namespace pyro::net
