// What a guest gets in the place of a refused packet, so that its program fails at once. Pure.

#pragma once

#include <optional>
#include <string>

#include "net/packet.h"

namespace pyro::net {

// The frame that answers `packet` of the frame `frame`: a RST for TCP, ICMP "administratively
// prohibited" for the rest. nullopt where no answer may follow: a RST, ICMP that is no question, a
// later fragment, a destination that is not one host, another sender than the guest.
std::optional<std::string> Refusal(Frame frame, const Packet& packet);

// A RST to each side of a connection, whose segment from the guest is `packet`. The other side has
// taken the guest's bytes up to `taken`, a number of the sequence.
std::string ResetForGuest(Frame frame, const Packet& packet);
std::string ResetForOutside(Frame frame, const Packet& packet, std::uint32_t taken);

}  // namespace pyro::net
