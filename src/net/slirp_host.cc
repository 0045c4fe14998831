#include "net/slirp_host.h"

#include <slirp/libslirp.h>

#include <chrono>
#include <utility>

namespace pyro::net {

struct SlirpCalls {
  static ssize_t SendPacket(const void* bytes, std::size_t size, void* opaque) {
    static_cast<SlirpHost*>(opaque)->deliver_(Frame(static_cast<const std::uint8_t*>(bytes), size));
    return static_cast<ssize_t>(size);
  }
};

namespace {

std::int64_t ClockNs(void*) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Timers serve advertisements of a router alone, which no guest gets.
void* NewTimer(SlirpTimerCb, void*, void*) { return nullptr; }
void FreeTimer(void*, void*) {}
void SetTimer(void*, std::int64_t, void*) {}
void GuestError(const char*, void*) {}
void IgnoreDescriptor(int, void*) {}
void Notify(void*) {}

int AddPoll(int fd, int events, void* opaque) {
  auto* polls = static_cast<std::vector<pollfd>*>(opaque);
  short wanted = 0;
  if ((events & SLIRP_POLL_IN) != 0) wanted |= POLLIN;
  if ((events & SLIRP_POLL_OUT) != 0) wanted |= POLLOUT;
  if ((events & SLIRP_POLL_PRI) != 0) wanted |= POLLPRI;
  polls->push_back({.fd = fd, .events = wanted, .revents = 0});
  return static_cast<int>(polls->size()) - 1;
}

int GetEvents(int index, void* opaque) {
  const auto* polls = static_cast<const std::vector<pollfd>*>(opaque);
  const short seen = (*polls)[static_cast<std::size_t>(index)].revents;
  int events = 0;
  if ((seen & POLLIN) != 0) events |= SLIRP_POLL_IN;
  if ((seen & POLLOUT) != 0) events |= SLIRP_POLL_OUT;
  if ((seen & POLLPRI) != 0) events |= SLIRP_POLL_PRI;
  if ((seen & POLLERR) != 0) events |= SLIRP_POLL_ERR;
  if ((seen & POLLHUP) != 0) events |= SLIRP_POLL_HUP;
  return events;
}

SlirpCb Callbacks() {
  SlirpCb callbacks = {};
  callbacks.send_packet = SlirpCalls::SendPacket;
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

}  // namespace

void SlirpHost::Cleanup::operator()(Slirp* slirp) const { slirp_cleanup(slirp); }

SlirpHost::~SlirpHost() = default;

Result<std::unique_ptr<SlirpHost>> SlirpHost::Make(const SlirpConfig& config, Deliver deliver) {
  // libslirp keeps the pointer.
  static const SlirpCb kCallbacks = Callbacks();
  auto host = std::unique_ptr<SlirpHost>(new SlirpHost(std::move(deliver)));
  host->slirp_.reset(slirp_new(&config, &kCallbacks, host.get()));
  if (!host->slirp_) return MakeError(ErrorCode::kInternal, "libslirp does not start");
  return host;
}

void SlirpHost::Input(Frame frame) {
  slirp_input(slirp_.get(), frame.data(), static_cast<int>(frame.size()));
}

void SlirpHost::Fill(std::vector<pollfd>& polls, std::uint32_t& timeout) {
  slirp_pollfds_fill(slirp_.get(), &timeout, AddPoll, &polls);
}

void SlirpHost::Serve(const std::vector<pollfd>& polls, bool failed) {
  slirp_pollfds_poll(slirp_.get(), failed ? 1 : 0, GetEvents,
                     const_cast<std::vector<pollfd>*>(&polls));  // NOLINT: libslirp's pointer
}

}  // namespace pyro::net
