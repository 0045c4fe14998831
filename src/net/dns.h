// Questions of a guest for names, and the resolver's answers: messages of DNS over UDP, with one
// question each. Pure. Names are canonical (policy.h): others are no names of hosts.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/addresses.h"
#include "net/frames.h"

namespace pyro::net {

inline constexpr std::uint16_t kDnsPort = 53;
inline constexpr std::uint16_t kTypeA = 1;
inline constexpr std::uint16_t kTypeAaaa = 28;
inline constexpr std::uint16_t kTypeSvcb = 64;
inline constexpr std::uint16_t kTypeHttps = 65;
inline constexpr std::size_t kMaxDnsBytes = 4096;
// As many as a message of 512 bytes holds behind any question, of IPv4 and of IPv6.
inline constexpr std::size_t kMaxAddresses = 14;
inline constexpr std::size_t kMaxAddresses6 = 8;

enum class DnsCode : std::uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNoSuchName = 3,
  kNotImplemented = 4,
};

struct DnsQuestion {
  std::uint16_t id = 0;
  std::uint16_t type = 0;
  std::string name;  // Canonical; empty if it is no name of a host.
  std::string wire;  // The question as it was asked, to be repeated in an answer.
};

// nullopt: not one question of class IN, or no question at all.
std::optional<DnsQuestion> ParseDnsQuestion(Frame message);

// For the addresses of a name, kTypeA or kTypeAaaa: of the guest's question it has the name alone.
std::string MakeDnsQuestion(std::uint16_t id, const std::string& name, std::uint16_t type = kTypeA);

struct DnsAnswer {
  std::uint16_t id = 0;
  std::uint16_t type = kTypeA;  // Of its question, as the next one: kTypeA or kTypeAaaa.
  std::string name;
  DnsCode code = DnsCode::kServerFailure;
  std::vector<Address> addresses;  // Of the name or of those that it is an alias of.
  std::chrono::seconds ttl{0};     // The least of them all.
};

// nullopt: no answer to a question as MakeDnsQuestion() asks it. What is cut off in it is left out.
std::optional<DnsAnswer> ParseDnsAnswer(Frame message);

// An answer with the question's own bytes, and the first addresses, as many as it holds. They are
// of the version that the question asks for.
std::string MakeDnsAnswer(const DnsQuestion& question, DnsCode code,
                          const std::vector<Address>& addresses = {},
                          std::chrono::seconds ttl = std::chrono::seconds(0));

}  // namespace pyro::net
