// Ethernet frames on a byte stream, each after its length as four bytes, big-endian. QEMU's
// "stream" network back end and passt use this form. It also decides which frames of a guest may
// leave, and which may reach it. Pure: no I/O.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/addresses.h"
#include "pyro/result.h"

namespace pyro::net {

using Frame = std::span<const std::uint8_t>;

inline constexpr std::size_t kMinFrameBytes = 14;
inline constexpr std::size_t kMaxFrameBytes = 65536 + 14;

// Cuts a stream into frames. After an error it stays broken.
class FrameReader {
 public:
  void Feed(std::string_view bytes);

  // The next whole frame, valid until the next call of any method; nullopt: more bytes are needed.
  // kProtocol: a length under kMinFrameBytes or over kMaxFrameBytes.
  Result<std::optional<Frame>> Next();

 private:
  std::string buffer_;
  std::size_t start_ = 0;  // The bytes before it have been returned.
  bool broken_ = false;
};

// Appends the frame with its length before it.
void AppendFrame(std::string& stream, Frame frame);

// True for the frames that a guest may send: ARP; IPv4 without options from its own address to
// - the resolver, UDP or TCP, port 53,
// - any unicast address outside this host and link: not 0/8, 127/8, 169.254/16, 224/3 or the
//   guest's own network;
// and TCP, UDP and ICMPv6's echo over IPv6 without further headers, from its own address to one
// that is not IsNever() (policy.h).
// The program behind the filter would connect 127.0.0.1 to the host's own sockets: it assumes a
// friendly guest. The guest is hostile.
bool MayLeave(Frame frame);

// False for a TCP segment without any flag, which passt of Debian 12 sends now and then. No stack
// takes one, but the guest's connection tracker counts it as invalid, does not translate its
// address, and then the guest resets the connection of a container. Of IPv6, TCP, UDP, answers to
// echo and errors alone: neighbours.h has the rest.
bool MayArrive(Frame frame);

// An ARP request for the gateway, as the guest would send it, and whether a frame is the answer.
std::string GatewayRequest(const Mac& guest);
bool IsGatewayReply(Frame frame);

}  // namespace pyro::net
