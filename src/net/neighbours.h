// Neighbour discovery of IPv6 (RFC 4861) between a guest and its gateway, which are all that there
// is on the link. Only messages that are made here reach the guest and the back end. Pure.

#pragma once

#include <optional>
#include <string>

#include "net/packet.h"

namespace pyro::net {

// A question of the guest for the card that has an address of the link. nullopt: it is none, or no
// proper one, or asks whether the guest's own address is in use.
std::optional<Address> NeighbourAsked(const Packet& packet);

// The answer: the gateway's card has it.
std::string NeighbourAnswer(const Mac& guest, const Address& guest_address, const Address& asked);

// The guest's question for the gateway; the back end learns from it where the guest is.
std::string GatewayRequest6(const Mac& guest);

// Whether a frame is the gateway's answer.
bool IsGatewayReply6(Frame frame);

}  // namespace pyro::net
