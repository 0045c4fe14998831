#include <poll.h>

#include <cerrno>

#include "base/try.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/gate.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

// Takes the guest's bytes and queues the frames that may leave.
Status Filter(FrameEnd& guest, FrameReader& reader, FrameEnd& outside, SocketState& state) {
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, guest.Read(state));
  reader.Feed(bytes);
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return outside.Flush(state);
    if (MayLeave(*frame)) AppendFrame(outside.output(), *frame);
  }
}

// The other direction has no filter, so the stream need not be cut into frames.
Status Forward(FrameEnd& outside, FrameEnd& guest, SocketState& state) {
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, outside.Read(state));
  guest.output().append(bytes);
  return guest.Flush(state);
}

// A side is read only when the other has taken all earlier bytes: so memory stays bounded.
short Wanted(const FrameEnd& from, const FrameEnd& to) {
  return static_cast<short>((to.pending() == 0 ? POLLIN : 0) | (from.pending() > 0 ? POLLOUT : 0));
}

}  // namespace

Status RunRelay(int guest_fd, vmm::FrameForm form, int outside_fd) {
  FrameEnd guest(guest_fd, form);
  FrameEnd outside(outside_fd, vmm::FrameForm::kStream);
  FrameReader reader;
  SocketState state = SocketState::kOpen;
  while (state == SocketState::kOpen) {
    pollfd entries[] = {{.fd = guest_fd, .events = Wanted(guest, outside), .revents = 0},
                        {.fd = outside_fd, .events = Wanted(outside, guest), .revents = 0}};
    if (::poll(entries, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return sys::ErrnoError(errno, "poll");
    }
    const bool guest_gone = (entries[0].revents & (POLLHUP | POLLERR)) != 0;
    const bool outside_gone = (entries[1].revents & (POLLHUP | POLLERR)) != 0;
    if ((entries[0].revents & POLLIN) != 0) {
      PYRO_RETURN_IF_ERROR(Filter(guest, reader, outside, state));
    }
    if ((entries[1].revents & POLLIN) != 0) {
      PYRO_RETURN_IF_ERROR(Forward(outside, guest, state));
    }
    if ((entries[0].revents & POLLOUT) != 0) PYRO_RETURN_IF_ERROR(guest.Flush(state));
    if ((entries[1].revents & POLLOUT) != 0) PYRO_RETURN_IF_ERROR(outside.Flush(state));
    if (guest_gone || outside_gone) state = SocketState::kClosed;
  }
  return OkStatus();
}

}  // namespace pyro::net
