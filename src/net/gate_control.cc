#include "net/gate_control.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>

#include "base/try.h"
#include "net/control.h"
#include "sys/errno_error.h"

namespace pyro::net {
namespace {

constexpr std::chrono::milliseconds kLongestPoll{60'000};

}  // namespace

Status GateControl::Apply(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(GateOrders orders, ParseGateOrders(text));
  egress_.SetIpv6(orders.ipv6);
  egress_.SetServed(std::move(orders.served));
  egress_.SetPolicy(std::move(orders.policy), std::move(orders.local),
                    std::chrono::steady_clock::now());
  return OkStatus();
}

Status GateControl::AwaitPolicy() {
  std::string text(kMaxControlBytes, '\0');
  ssize_t count = -1;
  do {
    count = ::recv(fd_, text.data(), text.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return sys::ErrnoError(errno, "read the network policy");
  if (count == 0) return MakeError(ErrorCode::kUnavailable, "no network policy came");
  return Apply(std::string_view(text).substr(0, static_cast<std::size_t>(count)));
}

Status GateControl::Take(SocketState& state) {
  std::string text(kMaxControlBytes, '\0');
  const ssize_t count = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno == ECONNRESET)) {
    state = SocketState::kClosed;
    return OkStatus();
  }
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return OkStatus();
    return sys::ErrnoError(errno, "read the network policy");
  }
  return Apply(std::string_view(text).substr(0, static_cast<std::size_t>(count)));
}

void GateControl::Tell() {
  const auto now = std::chrono::steady_clock::now();
  for (const Denial& denial : egress_.denials().Take(now)) {
    const std::string text = FormatDenial(denial);
    // What does not go now is counted, and told later.
    if (::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      egress_.denials().Add(denial);
    }
  }
}

int GateControl::PollTimeout() const {
  const auto next = egress_.denials().Next();
  if (!next) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(*next, SteadyTime{}) -
                                                                 std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp(wait, std::chrono::milliseconds(0), kLongestPoll).count());
}

}  // namespace pyro::net
