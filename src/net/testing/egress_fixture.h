// A guest whose frames and answers are strings, for tests of the decision about each.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "net/bytes.h"
#include "net/egress.h"
#include "net/testing/frames.h"

namespace pyro::net {

inline constexpr Ipv4 kServer = 0xcb007102;
inline constexpr Ipv4 kOther = 0xcb007103;
inline constexpr Ipv4 kLan = 0xc0a80105;

inline std::string Request(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}

class EgressTest : public testing::Test, protected FrameSink {
 protected:
  void ToGuest(Frame frame) override { to_guest_.emplace_back(frame.begin(), frame.end()); }
  void ToOutside(Frame frame) override { to_outside_.emplace_back(frame.begin(), frame.end()); }
  void ToServed(Frame frame) override { to_served_.emplace_back(frame.begin(), frame.end()); }

  void Use(std::string_view text) {
    auto policy = Policy::Parse(text);
    ASSERT_TRUE(policy.ok()) << policy.error().message;
    egress_.SetPolicy(*policy, LocalNetworks(), now_);
  }

  void Guest(const std::string& frame) { egress_.FromGuest(AsBytes(frame), now_); }
  void Outside(const std::string& frame) { egress_.FromOutside(AsBytes(frame), now_); }

  std::string Tcp(std::uint32_t sequence, std::uint8_t flags, std::string_view data = "") const {
    return TcpFrame(kFromGuest,
                    {.ends = {kGuest, guest_port_, address_, port_},
                     .sequence = sequence,
                     .acknowledged = 501,
                     .flags = flags},
                    data);
  }

  // To `address`; the other side takes it if it comes there.
  void Connect(Ipv4 address, std::uint16_t port) {
    address_ = address;
    port_ = port;
    ++guest_port_;
    Clear();
    Guest(Tcp(100, kTcpSyn));
    if (to_outside_.size() == 1) Acknowledge(101, kTcpSyn | kTcpAck);
    Clear();
  }

  void Acknowledge(std::uint32_t number, std::uint8_t flags = kTcpAck) {
    Outside(TcpFrame(kFromOutside,
                     {.ends = {address_, port_, kGuest, guest_port_},
                      .sequence = 500,
                      .acknowledged = number,
                      .flags = flags},
                     ""));
  }

  // Asks for a name; the resolver answers with the addresses.
  void Resolve(const std::string& name, const std::vector<Address>& addresses,
               std::chrono::seconds ttl = std::chrono::seconds(60)) {
    Clear();
    Guest(AskFrame(name));
    if (to_outside_.empty()) return;
    const auto packet = ParsePacket(AsBytes(to_outside_[0]));
    ASSERT_TRUE(packet.has_value());
    const auto asked = ParseDnsQuestion(packet->data);
    ASSERT_TRUE(asked.has_value());
    Clear();
    Outside(MakeUdp(kFromOutside, {kResolver, kDnsPort, kGuest, packet->source_port},
                    MakeDnsAnswer(*asked, DnsCode::kNoError, addresses, ttl)));
  }

  // What the guest reads of the answer.
  std::optional<DnsAnswer> Answered() const {
    if (to_guest_.size() != 1) return std::nullopt;
    const auto packet = ParsePacket(AsBytes(to_guest_[0]));
    return packet ? ParseDnsAnswer(packet->data) : std::nullopt;
  }

  void Clear() {
    to_guest_.clear();
    to_outside_.clear();
    to_served_.clear();
  }

  // The flags of the only frame.
  static int Flags(const std::vector<std::string>& frames) {
    if (frames.size() != 1) return -1;
    const auto packet = ParsePacket(AsBytes(frames[0]));
    return packet && packet->protocol == kTcp && ChecksumIsRight(*packet) ? packet->flags : -1;
  }
  bool GuestWasReset() const { return Flags(to_guest_) == (kTcpRst | kTcpAck); }
  bool GuestWasToldItIsProhibited() const {
    if (to_guest_.size() != 1) return false;
    const auto packet = ParsePacket(AsBytes(to_guest_[0]));
    return packet && packet->protocol == kIcmp && packet->payload[0] == 3 &&
           packet->payload[1] == 13;
  }

  // "not_allowed registry.example:443 (tcp)", of all that are new.
  std::string Denied() {
    std::string all;
    for (const Denial& denial : egress_.denials().Take(now_)) {
      all += std::string(Name(denial.reason)) + " " + Target(denial) + "\n";
    }
    if (!all.empty()) all.pop_back();
    return all;
  }

  SteadyTime now_ = SteadyTime{} + std::chrono::hours(1);
  Egress egress_{*this, 1};
  std::vector<std::string> to_guest_;
  std::vector<std::string> to_outside_;
  std::vector<std::string> to_served_;
  Ipv4 address_ = kServer;
  std::uint16_t port_ = 443;
  std::uint16_t guest_port_ = 41000;
};

}  // namespace pyro::net
