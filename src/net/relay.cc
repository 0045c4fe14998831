#include <poll.h>

#include <cerrno>

#include "base/try.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/gate.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

// Takes the bytes of one side and queues the frames that may pass for the other.
Status Filter(FrameEnd& from, FrameReader& reader, bool (*may_pass)(Frame), FrameEnd& to,
              SocketState& state) {
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, from.Read(state));
  reader.Feed(bytes);
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return to.Flush(state);
    if (may_pass(*frame)) AppendFrame(to.output(), *frame);
  }
}

// A side is read only when the other has taken all earlier bytes: so memory stays bounded.
short Wanted(const FrameEnd& from, const FrameEnd& to) {
  return static_cast<short>((to.pending() == 0 ? POLLIN : 0) | (from.pending() > 0 ? POLLOUT : 0));
}

}  // namespace

Status RunRelay(int guest_fd, vmm::FrameForm form, int outside_fd) {
  FrameEnd guest(guest_fd, form);
  FrameEnd outside(outside_fd, vmm::FrameForm::kStream);
  FrameReader leaving;
  FrameReader arriving;
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
      PYRO_RETURN_IF_ERROR(Filter(guest, leaving, MayLeave, outside, state));
    }
    if ((entries[1].revents & POLLIN) != 0) {
      PYRO_RETURN_IF_ERROR(Filter(outside, arriving, MayArrive, guest, state));
    }
    if ((entries[0].revents & POLLOUT) != 0) PYRO_RETURN_IF_ERROR(guest.Flush(state));
    if ((entries[1].revents & POLLOUT) != 0) PYRO_RETURN_IF_ERROR(outside.Flush(state));
    if (guest_gone || outside_gone) state = SocketState::kClosed;
  }
  return OkStatus();
}

}  // namespace pyro::net
