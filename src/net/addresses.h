// Addresses, and the network that every guest sees: its own, without other guests.

#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <functional>
#include <span>

namespace pyro::net {

using Ipv4 = std::uint32_t;  // Host byte order.
using Mac = std::array<std::uint8_t, 6>;

// An address of IPv6, or one of IPv4, which lies in ::ffff:0:0/96: packets of IPv6 never have one
// of those (packet.h), so that the two are not mistaken for each other.
class Address {
 public:
  constexpr Address() = default;                                // None, "::".
  constexpr Address(Ipv4 address) : low_(kMapped | address) {}  // NOLINT: an Ipv4 is an Address
  constexpr Address(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}
  // In network byte order.
  static constexpr Address FromBytes(std::span<const std::uint8_t, 16> bytes) {
    Address address;
    for (std::size_t i = 0; i < 8; ++i) {
      address.high_ = address.high_ << 8 | bytes[i];
      address.low_ = address.low_ << 8 | bytes[i + 8];
    }
    return address;
  }

  constexpr bool none() const { return high_ == 0 && low_ == 0; }
  constexpr bool IsV4() const { return high_ == 0 && low_ >> 32 == 0xffff; }
  // Of IsV4().
  constexpr Ipv4 v4() const { return static_cast<Ipv4>(low_); }
  constexpr std::uint64_t high() const { return high_; }
  constexpr std::uint64_t low() const { return low_; }

  // Its first `bits`, 0 to 128, and zeros.
  constexpr Address First(int bits) const { return {high_ & Mask(bits), low_ & Mask(bits - 64)}; }

  friend constexpr auto operator<=>(const Address&,
                                    const Address&) = default;  // NOLINT(modernize-use-nullptr)

 private:
  static constexpr std::uint64_t kMapped = std::uint64_t{0xffff} << 32;
  static constexpr std::uint64_t Mask(int bits) {
    if (bits <= 0) return 0;
    return bits >= 64 ? ~std::uint64_t{0} : ~(~std::uint64_t{0} >> bits);
  }

  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

struct AddressHash {
  std::size_t operator()(const Address& address) const {
    return static_cast<std::size_t>(
        (std::rotl(address.high(), 29) ^ address.low()) * 0x9e3779b97f4a7c15 >> 16);
  }
};

inline constexpr Ipv4 kNetwork = 0x0a000200;  // 10.0.2.0
inline constexpr int kPrefix = 24;
inline constexpr Ipv4 kNetmask = 0xffffff00;
inline constexpr Ipv4 kGateway = 0x0a000202;   // 10.0.2.2
inline constexpr Ipv4 kResolver = 0x0a000203;  // 10.0.2.3
inline constexpr Ipv4 kGuest = 0x0a00020f;     // 10.0.2.15
inline constexpr char kGatewayText[] = "10.0.2.2";
inline constexpr char kResolverText[] = "10.0.2.3";
inline constexpr char kGuestText[] = "10.0.2.15";
// A network that no router knows (RFC 4193). Programs prefer IPv4 where a name has both.
inline constexpr std::uint64_t kNetwork6 = 0xfd7079726f000000;  // fd70:7972:6f00::/64
inline constexpr int kPrefix6 = 64;
inline constexpr Address kGateway6{kNetwork6, 2};
inline constexpr Address kResolver6{kNetwork6, 3};  // Of libslirp; the gate lets no guest ask it.
inline constexpr Address kGuest6{kNetwork6, 0x15};
inline constexpr char kGateway6Text[] = "fd70:7972:6f00::2";
inline constexpr char kGuest6Text[] = "fd70:7972:6f00::15";
inline constexpr char kGatewayMacText[] = "52:55:0a:00:02:02";
inline constexpr Mac kGatewayMac = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};
inline constexpr int kMtu = 1500;

}  // namespace pyro::net
