// Numbers of a packet, in network byte order. The caller has checked that they are within it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "net/addresses.h"

namespace pyro::net {

inline std::uint16_t Get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

inline std::uint32_t Get32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(Get16(bytes, at)) << 16 | Get16(bytes, at + 2);
}

inline Address GetAddress(std::span<const std::uint8_t> bytes, std::size_t at) {
  return Address::FromBytes(bytes.subspan(at).first<16>());
}

inline void Put8(std::string& text, unsigned value) {
  text.push_back(static_cast<char>(value & 0xff));
}

inline void Put16(std::string& text, unsigned value) {
  Put8(text, value >> 8);
  Put8(text, value);
}

inline void Put32(std::string& text, std::uint32_t value) {
  Put16(text, value >> 16);
  Put16(text, value & 0xffff);
}

// The 16 bytes of an address of IPv6, or the 4 of one of IPv4.
inline void PutAddress(std::string& text, const Address& address) {
  if (!address.IsV4()) {
    for (const std::uint64_t half : {address.high(), address.low()}) {
      Put32(text, static_cast<std::uint32_t>(half >> 32));
      Put32(text, static_cast<std::uint32_t>(half));
    }
    return;
  }
  Put32(text, address.v4());
}

inline std::span<const std::uint8_t> AsBytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace pyro::net
