#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "base/try.h"
#include "net/addresses.h"
#include "net/egress.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/gate.h"
#include "net/gate_control.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

// Beyond this, frames to a guest that does not read are dropped, as a full wire would; TCP sends
// them again.
constexpr std::size_t kMaxPending = 1024 * 1024;

// libslirp's callbacks and the descriptors that it watches. One per process.
struct Loop : FrameSink {
  Loop(int guest_fd, vmm::FrameForm form)
      : guest(guest_fd, form), egress(*this, std::random_device()()) {}

  void ToGuest(Frame frame) override {
    if (guest.pending() < kMaxPending) AppendFrame(guest.output(), frame);
  }
  void ToOutside(Frame frame) override {
    slirp_input(slirp, frame.data(), static_cast<int>(frame.size()));
  }

  FrameEnd guest;
  Egress egress;
  Slirp* slirp = nullptr;
  std::vector<pollfd> polls;
};

ssize_t SendPacket(const void* bytes, std::size_t size, void* opaque) {
  static_cast<Loop*>(opaque)->egress.FromOutside(
      Frame(static_cast<const std::uint8_t*>(bytes), size), std::chrono::steady_clock::now());
  return static_cast<ssize_t>(size);
}

std::int64_t ClockNs(void*) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Timers serve IPv6 router advertisements only, and IPv6 is off.
void* NewTimer(SlirpTimerCb, void*, void*) { return nullptr; }
void FreeTimer(void*, void*) {}
void SetTimer(void*, std::int64_t, void*) {}
void GuestError(const char*, void*) {}
void IgnoreDescriptor(int, void*) {}
void Notify(void*) {}

int AddPoll(int fd, int events, void* opaque) {
  auto* loop = static_cast<Loop*>(opaque);
  short wanted = 0;
  if ((events & SLIRP_POLL_IN) != 0) wanted |= POLLIN;
  if ((events & SLIRP_POLL_OUT) != 0) wanted |= POLLOUT;
  if ((events & SLIRP_POLL_PRI) != 0) wanted |= POLLPRI;
  loop->polls.push_back({.fd = fd, .events = wanted, .revents = 0});
  return static_cast<int>(loop->polls.size()) - 1;
}

int GetEvents(int index, void* opaque) {
  const short seen = static_cast<Loop*>(opaque)->polls[static_cast<std::size_t>(index)].revents;
  int events = 0;
  if ((seen & POLLIN) != 0) events |= SLIRP_POLL_IN;
  if ((seen & POLLOUT) != 0) events |= SLIRP_POLL_OUT;
  if ((seen & POLLPRI) != 0) events |= SLIRP_POLL_PRI;
  if ((seen & POLLERR) != 0) events |= SLIRP_POLL_ERR;
  if ((seen & POLLHUP) != 0) events |= SLIRP_POLL_HUP;
  return events;
}

in_addr Address(Ipv4 address) { return in_addr{.s_addr = htonl(address)}; }

SlirpConfig Config() {
  SlirpConfig config = {};
  config.version = 4;
  config.in_enabled = true;
  config.vnetwork = Address(kNetwork);
  config.vnetmask = Address(kNetmask);
  config.vhost = Address(kGateway);
  config.vnameserver = Address(kResolver);
  config.if_mtu = kMtu;
  config.if_mru = kMtu;
  config.disable_host_loopback = true;
  config.disable_dhcp = true;
  return config;
}

SlirpCb Callbacks() {
  SlirpCb callbacks = {};
  callbacks.send_packet = SendPacket;
  callbacks.guest_error = GuestError;
  callbacks.clock_get_ns = ClockNs;
  callbacks.timer_new = NewTimer;
  callbacks.timer_free = FreeTimer;
  callbacks.timer_mod = SetTimer;
  callbacks.register_poll_fd = IgnoreDescriptor;
  callbacks.unregister_poll_fd = IgnoreDescriptor;
  callbacks.notify = Notify;
  return callbacks;
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

Status RunSlirp(int guest_fd, vmm::FrameForm form, int control_fd) {
  Loop loop(guest_fd, form);
  GateControl control(control_fd, loop.egress);
  PYRO_RETURN_IF_ERROR(control.AwaitPolicy());
  const SlirpConfig config = Config();
  const SlirpCb callbacks = Callbacks();
  const std::unique_ptr<Slirp, void (*)(Slirp*)> slirp(slirp_new(&config, &callbacks, &loop),
                                                       slirp_cleanup);
  if (!slirp) return MakeError(ErrorCode::kInternal, "libslirp does not start");
  loop.slirp = slirp.get();
  FrameReader reader;
  SocketState state = SocketState::kOpen;
  while (state == SocketState::kOpen) {
    loop.polls.clear();
    const bool writing = loop.guest.pending() > 0;
    // If a guest does not take its answers, its frames are not read.
    const int wanted = (writing ? POLLOUT : 0) | (loop.guest.pending() < kMaxPending ? POLLIN : 0);
    loop.polls.push_back({.fd = guest_fd, .events = static_cast<short>(wanted), .revents = 0});
    loop.polls.push_back({.fd = control_fd, .events = POLLIN, .revents = 0});
    std::uint32_t timeout = 60 * 1000;
    if (const int telling = control.PollTimeout(); telling >= 0) {
      timeout = std::min(timeout, static_cast<std::uint32_t>(telling));
    }
    slirp_pollfds_fill(slirp.get(), &timeout, AddPoll, &loop);
    const int ready = ::poll(loop.polls.data(), loop.polls.size(),
                             static_cast<int>(std::min<std::uint32_t>(timeout, 60 * 1000)));
    if (ready < 0 && errno != EINTR) return sys::ErrnoError(errno, "poll");
    const short seen = ready > 0 ? loop.polls[0].revents : short{0};
    const bool told = ready > 0 && loop.polls[1].revents != 0;
    slirp_pollfds_poll(slirp.get(), ready < 0 ? 1 : 0, GetEvents, &loop);
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
