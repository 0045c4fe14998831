#include <poll.h>
#include <slirp/libslirp.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "base/try.h"
#include "jail/confine.h"
#include "jail/jail.h"
#include "net/addresses.h"
#include "net/bytes.h"
#include "net/egress.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/gate.h"
#include "net/gate_control.h"
#include "net/served_stack.h"
#include "net/slirp_host.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

// Beyond this, frames to a guest that does not read are dropped, as a full wire would; TCP sends
// them again.
constexpr std::size_t kMaxPending = 1024 * 1024;

struct Loop : FrameSink {
  Loop(int guest_fd, vmm::FrameForm form)
      : guest(guest_fd, form), egress(*this, std::random_device()()) {}

  void ToGuest(Frame frame) override {
    if (guest.pending() < kMaxPending) AppendFrame(guest.output(), frame);
  }
  void ToOutside(Frame frame) override { outside->Input(frame); }
  void ToServed(Frame frame) override {
    if (served) served->Input(frame);
  }

  FrameEnd guest;
  Egress egress;
  std::unique_ptr<SlirpHost> outside;
  std::unique_ptr<ServedStack> served;
  std::vector<pollfd> polls;
};

in6_addr InAddr6(const Address& address) {
  std::string bytes;
  PutAddress(bytes, address);
  in6_addr made;
  std::copy(bytes.begin(), bytes.end(), made.s6_addr);
  return made;
}

SlirpConfig Config(bool ipv6) {
  SlirpConfig config = {};
  config.version = 4;
  config.in_enabled = true;
  config.vnetwork = InAddr(kNetwork);
  config.vnetmask = InAddr(kNetmask);
  config.vhost = InAddr(kGateway);
  config.vnameserver = InAddr(kResolver);
  config.in6_enabled = ipv6;
  config.vprefix_addr6 = InAddr6(Address(kNetwork6, 0));
  config.vprefix_len = kPrefix6;
  config.vhost6 = InAddr6(kGateway6);
  config.vnameserver6 = InAddr6(kResolver6);
  config.if_mtu = kMtu;
  config.if_mru = kMtu;
  config.disable_host_loopback = true;
  config.disable_dhcp = true;
  return config;
}

Status TakeFrames(Loop& loop, FrameReader& reader, SocketState& state) {
  PYRO_ASSIGN_OR_RETURN(const std::string_view bytes, loop.guest.Read(state));
  reader.Feed(bytes);
  const SteadyTime now = std::chrono::steady_clock::now();
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return OkStatus();
    loop.egress.FromGuest(*frame, now);
  }
}

}  // namespace

Status RunSlirp(const GateFds& fds, vmm::FrameForm form) {
  Loop loop(fds.guest, form);
  GateControl control(fds.control, loop.egress);
  PYRO_RETURN_IF_ERROR(control.AwaitPolicy());
  const auto deliver = [&loop](Frame frame) {
    loop.egress.FromOutside(frame, std::chrono::steady_clock::now());
  };
  PYRO_ASSIGN_OR_RETURN(loop.outside, SlirpHost::Make(Config(loop.egress.ipv6()), deliver));
  if (fds.proxy >= 0) {
    PYRO_ASSIGN_OR_RETURN(loop.served, ServedStack::Make(fds.proxy, loop.egress.served(),
                                                         jail::kJailMemory, deliver));
  }
  PYRO_RETURN_IF_ERROR(
      jail::Confine(loop.served ? jail::Confined::kServedSlirp : jail::Confined::kSlirp));
  FrameReader reader;
  SocketState state = SocketState::kOpen;
  while (state == SocketState::kOpen) {
    loop.polls.clear();
    const bool writing = loop.guest.pending() > 0;
    // If a guest does not take its answers, its frames are not read.
    const int wanted = (writing ? POLLOUT : 0) | (loop.guest.pending() < kMaxPending ? POLLIN : 0);
    loop.polls.push_back({.fd = fds.guest, .events = static_cast<short>(wanted), .revents = 0});
    loop.polls.push_back({.fd = fds.control, .events = POLLIN, .revents = 0});
    std::uint32_t timeout = 60 * 1000;
    if (const int telling = control.PollTimeout(); telling >= 0) {
      timeout = std::min(timeout, static_cast<std::uint32_t>(telling));
    }
    loop.outside->Fill(loop.polls, timeout);
    if (loop.served) loop.served->Fill(loop.polls, timeout);
    const int ready = ::poll(loop.polls.data(), loop.polls.size(),
                             static_cast<int>(std::min<std::uint32_t>(timeout, 60 * 1000)));
    if (ready < 0 && errno != EINTR) return sys::ErrnoError(errno, "poll");
    const short seen = ready > 0 ? loop.polls[0].revents : short{0};
    const bool told = ready > 0 && loop.polls[1].revents != 0;
    loop.outside->Serve(loop.polls, ready < 0);
    if (loop.served) loop.served->Serve(loop.polls, ready < 0);
    if (told) PYRO_RETURN_IF_ERROR(control.Take(state));
    if ((seen & POLLIN) != 0) PYRO_RETURN_IF_ERROR(TakeFrames(loop, reader, state));
    // First: the command that a refusal ends must not be over before it is told.
    control.Tell();
    PYRO_RETURN_IF_ERROR(loop.guest.Flush(state));
    if ((seen & (POLLHUP | POLLERR)) != 0) state = SocketState::kClosed;
  }
  return OkStatus();
}

}  // namespace pyro::net
