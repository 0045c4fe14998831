// What a guest may reach: rules, their text, and the decision about a name or an address. Pure.
//
// A rule allows or denies one of: a name; "*.NAME", all names below it but not itself; an address;
// a range, ADDRESS/BITS; or "*", the whole outside. ":PORT" behind it limits it to that port. Deny
// rules go first. Without an allow rule the whole outside is allowed; with one, nothing else is.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/addresses.h"
#include "pyro/result.h"

namespace pyro::net {

inline constexpr std::size_t kMaxRules = 512;
inline constexpr std::size_t kMaxRuleBytes = 260;
inline constexpr std::size_t kMaxPolicyBytes = 32 * 1024;
inline constexpr std::size_t kMaxDnsNameBytes = 253;

struct AddressRange {
  Address network;
  int bits = 32;  // 1 to 32, of IPv6 to 128.

  // Never one of the other version.
  bool Has(const Address& address) const {
    const bool v4 = network.IsV4();
    const int all = v4 ? 96 + bits : bits;
    return v4 == address.IsV4() && address.First(all) == network.First(all);
  }
  bool IsOne() const { return bits == (network.IsV4() ? 32 : 128); }
  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

// "198.51.100.7", "198.51.100.0/24", "2001:db8::7" or "2001:db8::/32"; host bits beyond the prefix
// must be 0. kInvalidArgument.
Result<AddressRange> ParseAddressRange(std::string_view text);
// nullopt: it is no address. One of IPv4 within IPv6, as ::ffff:198.51.100.7, is none.
std::optional<Address> ParseAddress(std::string_view text);
std::string FormatAddress(const Address& address);

// In lower case, without a dot at its end. nullopt: it is no name of a host: labels of 1 to 63
// letters, digits, '-' and '_', at most 253 bytes, and not only digits in the last one.
std::optional<std::string> CanonicalName(std::string_view name);

struct Rule {
  enum class Kind { kName, kBelow, kRange, kAll };

  bool allow = true;
  Kind kind = Kind::kName;
  std::string name;  // Of kName and kBelow, canonical.
  AddressRange range;
  std::uint16_t port = 0;  // 0: every port.

  bool HasName(std::string_view asked) const;
  bool HasPort(std::uint16_t asked) const { return port == 0 || port == asked; }
  friend bool operator==(const Rule&, const Rule&) = default;
};

// HOST[:PORT], as "registry.example:443" or "[2001:db8::7]:443". kInvalidArgument; the hint says
// what is right.
Result<Rule> ParseRule(bool allow, std::string_view text);
// Without "allow" or "deny".
std::string FormatRule(const Rule& rule);

// Why something is refused.
enum class Reason {
  kNone,           // It is allowed.
  kNotAllowed,     // No rule allows it.
  kDenied,         // A rule denies it.
  kLocal,          // It is this host, its LAN or a private network, and no rule has its address.
  kNever,          // Loopback, link-local, multicast or reserved: no rule changes that.
  kNameUnknown,    // No allowed name led to this address.
  kOtherName,      // Another name is in the connection than led to its address.
  kQuic,           // UDP port 443 needs a rule with an address.
  kOtherResolver,  // Names come from the guest's resolver alone, over UDP, as addresses.
  kProtocol,       // Fragments and protocols that no rule can judge.
  kUnknownFlow,    // Of a connection whose beginning was not seen.
  // Of the proxy, about hosts that it serves.
  kSecretElsewhere,  // A request has the placeholder of a secret that is for another host.
  kSecretPlain,      // A request without TLS has one.
  kSecretPlace,      // One is not in a value of a field of the head.
  kSecretBody,       // A body has one, and was passed on as it is.
  kNotTrusted,       // A program does not take the guest's own authority.
  kNotHttp,          // It is no HTTP/1.1.
  kProxyEnded,       // The process of the proxy is gone.
  kOnlyCached,       // Of this server only downloads are there, and this is none.
  kDownloadDamaged,  // What the cache held was changed: it was refused and removed.
  kDownloadAway,     // The server of a download cannot be asked now.
  kDownloadDisk,     // The cache cannot be read or written.
  kNetworkEnded,     // A process of the network is gone.
  kForbiddenCall,    // One was ended by its filter of system calls, or the proxy was.
  kUpstream,         // The host does not trust the server, or may not reach its address.
};
std::string_view Name(Reason reason);      // "not_allowed"; "" for kNone.
std::string_view Sentence(Reason reason);  // For people, without a dot at its end.
std::optional<Reason> ParseReason(std::string_view name);

class Policy {
 public:
  // The whole outside is allowed, and nothing local.
  Policy() = default;

  // Lines of "allow HOST[:PORT]" and "deny HOST[:PORT]", '#' begins a comment. kInvalidArgument
  // names the line. `preset` gives the rules of a word that begins with '@', one HOST[:PORT] each.
  using Presets = std::function<Result<std::vector<std::string>>(std::string_view)>;
  static Result<Policy> Parse(std::string_view text, const Presets& preset = nullptr);

  // kInvalidArgument: more than kMaxRules. A rule that is there already is not added again.
  Status Add(const Rule& rule);

  // As Parse() takes it, without comments.
  std::string Format() const;

  const std::vector<Rule>& rules() const { return rules_; }
  bool empty() const { return rules_.empty(); }

  // Some things of the outside are refused.
  bool closed() const { return !open_; }
  // A rule denies a name.
  bool denies_names() const { return denies_names_; }

  // Whether any connection to `name` could be allowed, canonical: its addresses are told then.
  Reason AskName(std::string_view name) const;
  // A connection to `name`, whose addresses are of the outside.
  Reason AskName(std::string_view name, std::uint16_t port) const;
  // A connection to an address, by rules with addresses alone; `local`: see LocalNetworks. `port`
  // is 0 for a protocol without ports. kNotAllowed: a name may still allow it.
  Reason AskAddress(const Address& address, std::uint16_t port, bool local) const;
  // An address in an answer for an allowed name.
  Reason AskAnswer(const Address& address, bool local) const;
  // A rule with an address, not "*", allows it.
  bool HasAddressRule(const Address& address, std::uint16_t port) const;

  friend bool operator==(const Policy&, const Policy&) = default;

 private:
  std::vector<Rule> rules_;
  bool open_ = true;
  bool denies_names_ = false;
};

// Loopback, link-local, metadata of clouds, multicast, reserved, or of the guest's own network. Of
// IPv6 also those that carry one of IPv4 (mapped, NAT64, 6to4, Teredo): what they lead to cannot be
// judged, or would be judged as another address.
bool IsNever(const Address& address);

// Of IPv6: 2000::/3, which hosts of the outside have; fe80::/10; ff00::/8.
bool IsGlobal(const Address& address);
bool IsLinkLocal(const Address& address);
bool IsMulticast(const Address& address);

// The addresses that are this host's or near it, at a moment.
class LocalNetworks {
 public:
  static constexpr std::size_t kMaxNetworks = 256;

  // The private networks alone, of IPv6 fc00::/7.
  LocalNetworks() = default;
  // With those of the host's interfaces, of which the first kMaxNetworks count.
  explicit LocalNetworks(std::vector<AddressRange> of_host);

  bool Has(const Address& address) const;
  const std::vector<AddressRange>& of_host() const { return of_host_; }

 private:
  std::vector<AddressRange> of_host_;
};

}  // namespace pyro::net
