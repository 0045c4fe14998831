#include "net/policy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::net {
namespace {

constexpr std::size_t kMaxLabelBytes = 63;
constexpr char kRuleHint[] =
    "use a name, *.NAME, an address, ADDRESS/BITS or *, and :PORT behind it if you like; an IPv6 "
    "address with a port is [ADDRESS]:PORT";
constexpr std::size_t kMaxAddressBytes = 45;

Error BadRule(std::string_view text, std::string_view why) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("'{}' {}", Printable(text), why),
                   kRuleHint);
}

bool IsDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// An octet or a port: no sign, no leading zero.
std::optional<int> ParseSmall(std::string_view text, int max) {
  if (!IsDigits(text) || text.size() > 5 || (text.size() > 1 && text[0] == '0')) {
    return std::nullopt;
  }
  int value = 0;
  for (const char c : text) value = value * 10 + (c - '0');
  return value <= max ? std::optional<int>(value) : std::nullopt;
}

std::optional<Ipv4> ParseIpv4(std::string_view text) {
  const auto parts = Split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  Ipv4 address = 0;
  for (const std::string_view part : parts) {
    const auto value = ParseSmall(part, 255);
    if (!value) return std::nullopt;
    address = address << 8 | static_cast<Ipv4>(*value);
  }
  return address;
}

// What consists of digits, dots and slashes was meant as an address.
bool LooksLikeAddress(std::string_view text) {
  return text.find_first_not_of("0123456789./") == std::string_view::npos;
}

std::optional<Address> ParseIpv6(std::string_view text) {
  std::array<std::uint8_t, 16> bytes;
  if (text.size() > kMaxAddressBytes ||
      ::inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) != 1) {
    return std::nullopt;
  }
  return Address::FromBytes(bytes);
}

bool HasColons(std::string_view text, int least) {
  return std::count(text.begin(), text.end(), ':') >= least;
}

std::string FormatRange(const AddressRange& range) {
  std::string text = FormatAddress(range.network);
  if (!range.IsOne()) text += fmt::format("/{}", range.bits);
  return text;
}

constexpr struct {
  Reason reason;
  std::string_view name;
  std::string_view sentence;
} kReasons[] = {
    {Reason::kNotAllowed, "not_allowed", "no rule allows it"},
    {Reason::kDenied, "denied", "a rule denies it"},
    {Reason::kLocal, "local",
     "it is an address of this host, its LAN or a private network, and no rule has that address"},
    {Reason::kNever, "never",
     "loopback, link-local, multicast and reserved addresses, and IPv4 ones within IPv6, are never "
     "reached"},
    {Reason::kNameUnknown, "name_unknown", "no allowed name led to this address"},
    {Reason::kOtherName, "other_name", "the connection names another host than led to its address"},
    {Reason::kQuic, "quic", "QUIC hides its name, so that a rule with the address must allow it"},
    {Reason::kOtherResolver, "resolver",
     "names come from the resolver of the guest alone, over UDP"},
    {Reason::kProtocol, "protocol", "no rule can judge fragments and this protocol"},
    {Reason::kUnknownFlow, "unknown_flow", "the beginning of the connection was not seen"},
    {Reason::kSecretElsewhere, "secret_elsewhere",
     "the request has the placeholder of a secret that is for another host"},
    {Reason::kSecretPlain, "secret_plain",
     "a secret leaves over TLS alone, and this is plain HTTP"},
    {Reason::kSecretPlace, "secret_place",
     "a secret is put into values of header fields alone, and the request has it elsewhere"},
    {Reason::kSecretBody, "secret_body",
     "a secret is not put into bodies: the server got the placeholder"},
    {Reason::kNotTrusted, "not_trusted",
     "the program ended the connection when it saw pyro's certificate: it trusts others alone"},
    {Reason::kNotHttp, "not_http", "the proxy of secrets and downloads speaks HTTP/1.1 alone"},
    {Reason::kProxyEnded, "proxy_ended",
     "the process that puts in secrets has ended: stop the guest and start it again"},
    {Reason::kOnlyCached, "only_cached",
     "only downloads that the cache knows are fetched from this server, and this is none"},
    {Reason::kDownloadDamaged, "download_damaged",
     "what the cache of downloads held was changed: it was refused and removed"},
    {Reason::kDownloadAway, "download_away",
     "this host cannot ask the server of a download now: what the cache holds is served"},
    {Reason::kDownloadDisk, "download_disk",
     "the cache of downloads cannot be read or written: nothing is kept"},
    {Reason::kNetworkEnded, "network_ended",
     "a process of the guest's network has ended: stop the guest and start it again"},
    {Reason::kForbiddenCall, "forbidden_call",
     "a process of the guest's network was ended at a system call that it may not make: stop the "
     "guest and start it again"},
    {Reason::kUpstream, "upstream",
     "this host does not trust the server's certificate, or may not reach its address"},
};

constexpr AddressRange kUniqueLocal{Address(0xfc00000000000000, 0), 7};
constexpr AddressRange kPrivate[] = {
    {0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}, {0x64400000, 10}, kUniqueLocal};

constexpr AddressRange kNeverReached[] = {
    {0x00000000, 8},
    {0x7f000000, 8},
    {0xa9fe0000, 16},
    {0xe0000000, 3},
    {kNetwork, kPrefix},
    {Address(kNetwork6, 0), kPrefix6},
    {Address(0x2001000000000000, 0), 32},                    // Teredo.
    {Address(0x2002000000000000, 0), 16},                    // 6to4.
    {Address(0xfd000ec200000000, 0), 32},                    // Services of Amazon's hosts.
    {Address(0xfd2000ce00000000, 0x0254), 128},              // Metadata of Google's.
    {Address(0xfd0000c100000000, 0x00000000a9fea9fe), 128},  // Of Oracle's.
};

}  // namespace

std::optional<Address> ParseAddress(std::string_view text) {
  if (!HasColons(text, 1)) {
    const auto v4 = ParseIpv4(text);
    return v4 ? std::optional<Address>(*v4) : std::nullopt;
  }
  const auto v6 = ParseIpv6(text);
  return v6 && !v6->IsV4() && !v6->none() ? v6 : std::nullopt;
}

Result<AddressRange> ParseAddressRange(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const auto address = ParseAddress(host);
  if (!address) {
    const auto v6 = ParseIpv6(host);
    return BadRule(text, v6 && v6->IsV4() ? "is an IPv4 address within IPv6: write the IPv4 address"
                                          : "is no IP address");
  }
  const int all = address->IsV4() ? 32 : 128;
  AddressRange range{*address, all};
  if (slash == std::string_view::npos) return range;
  const auto bits = ParseSmall(text.substr(slash + 1), all);
  if (!bits || *bits == 0) {
    return BadRule(text, fmt::format("needs 1 to {} bits behind the slash", all));
  }
  range.bits = *bits;
  if (address->First(128 - all + *bits) != *address) {
    return BadRule(text, "has bits beyond its prefix");
  }
  return range;
}

std::string FormatAddress(const Address& address) {
  if (address.IsV4()) {
    const Ipv4 v4 = address.v4();
    return fmt::format("{}.{}.{}.{}", v4 >> 24, v4 >> 16 & 0xff, v4 >> 8 & 0xff, v4 & 0xff);
  }
  std::array<std::uint8_t, 16> bytes;
  for (int i = 0; i < 8; ++i) {
    const int shift = 56 - 8 * i;
    bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(address.high() >> shift);
    bytes[static_cast<std::size_t>(i) + 8] = static_cast<std::uint8_t>(address.low() >> shift);
  }
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

std::optional<std::string> CanonicalName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxDnsNameBytes) return std::nullopt;
  std::string canonical;
  std::string_view last;
  for (const std::string_view label : Split(name, '.')) {
    if (label.empty() || label.size() > kMaxLabelBytes) return std::nullopt;
    for (const char c : label) {
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      const bool known =
          (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      if (!known) return std::nullopt;
      canonical.push_back(lower);
    }
    canonical.push_back('.');
    last = label;
  }
  canonical.pop_back();
  if (IsDigits(last)) return std::nullopt;
  return canonical;
}

bool Rule::HasName(std::string_view asked) const {
  if (kind == Kind::kName) return asked == name;
  if (kind != Kind::kBelow) return kind == Kind::kAll;
  return asked.size() > name.size() + 1 && asked.ends_with(name) &&
         asked[asked.size() - name.size() - 1] == '.';
}

Result<Rule> ParseRule(bool allow, std::string_view text) {
  if (text.empty() || text.size() > kMaxRuleBytes) return BadRule(text, "is no host");
  if (text.find("://") != std::string_view::npos) return BadRule(text, "is a URL, and no host");
  Rule rule;
  rule.allow = allow;
  std::string_view host = text;
  const bool bracketed = host.starts_with('[');
  const bool v6 = bracketed || HasColons(host, 2);
  std::size_t colon = v6 ? std::string_view::npos : host.find(':');
  if (bracketed) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos || (end + 1 < host.size() && host[end + 1] != ':')) {
      return BadRule(text, "is no IPv6 address in brackets");
    }
    if (end + 1 < host.size()) colon = end + 1;
  }
  if (colon != std::string_view::npos) {
    const auto port = ParseSmall(host.substr(colon + 1), 65535);
    if (!port || *port == 0) return BadRule(text, "needs a port from 1 to 65535 behind the colon");
    rule.port = static_cast<std::uint16_t>(*port);
    host = host.substr(0, colon);
  }
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (v6) {
    rule.kind = Rule::Kind::kRange;
    PYRO_ASSIGN_OR_RETURN(rule.range, ParseAddressRange(host));
    if (rule.range.network.IsV4()) return BadRule(text, "has no IPv6 address in its brackets");
    return rule;
  }
  if (host == "*") {
    rule.kind = Rule::Kind::kAll;
    return rule;
  }
  if (LooksLikeAddress(host)) {
    rule.kind = Rule::Kind::kRange;
    PYRO_ASSIGN_OR_RETURN(rule.range, ParseAddressRange(host));
    return rule;
  }
  if (host.starts_with("*.")) {
    rule.kind = Rule::Kind::kBelow;
    host.remove_prefix(2);
  }
  auto name = CanonicalName(host);
  if (!name) return BadRule(text, "is no name of a host");
  rule.name = std::move(*name);
  return rule;
}

std::string FormatRule(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kAll:
      return WithPort("*", rule.port);
    case Rule::Kind::kName:
      return WithPort(rule.name, rule.port);
    case Rule::Kind::kBelow:
      return WithPort("*." + rule.name, rule.port);
    case Rule::Kind::kRange:
      break;
  }
  return WithPort(FormatRange(rule.range), rule.port);
}

std::string_view Name(Reason reason) {
  for (const auto& one : kReasons) {
    if (one.reason == reason) return one.name;
  }
  return "";
}

std::string_view Sentence(Reason reason) {
  for (const auto& one : kReasons) {
    if (one.reason == reason) return one.sentence;
  }
  return "it is allowed";
}

std::optional<Reason> ParseReason(std::string_view name) {
  for (const auto& one : kReasons) {
    if (one.name == name) return one.reason;
  }
  return std::nullopt;
}

Result<Policy> Policy::Parse(std::string_view text, const Presets& preset) {
  if (text.size() > kMaxPolicyBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a network policy is longer than {} bytes", kMaxPolicyBytes));
  }
  Policy policy;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    const auto add = [&](std::string_view word, bool allow) -> Status {
      PYRO_ASSIGN_OR_RETURN(const Rule rule, ParseRule(allow, word));
      return policy.Add(rule);
    };
    const auto take = [&]() -> Status {
      line = TrimSpace(line.substr(0, line.find('#')));
      if (line.empty()) return OkStatus();
      const std::size_t space = line.find_first_of(" \t");
      const std::string_view verb = line.substr(0, space);
      const std::string_view host =
          space == std::string_view::npos ? "" : TrimSpace(line.substr(space));
      if ((verb != "allow" && verb != "deny") || host.empty()) {
        return MakeError(ErrorCode::kInvalidArgument,
                         fmt::format("'{}' is no rule", Printable(line)),
                         "write 'allow HOST[:PORT]' or 'deny HOST[:PORT]'");
      }
      if (!host.starts_with('@') || !preset) return add(host, verb == "allow");
      PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> words, preset(host));
      for (const std::string& word : words) PYRO_RETURN_IF_ERROR(add(word, verb == "allow"));
      return OkStatus();
    };
    if (Status taken = take(); !taken) {
      Error error = std::move(taken).error();
      error.message = fmt::format("line {} of the network policy: {}", number, error.message);
      return error;
    }
  }
  return policy;
}

Status Policy::Add(const Rule& rule) {
  if (std::find(rules_.begin(), rules_.end(), rule) != rules_.end()) return OkStatus();
  if (rules_.size() >= kMaxRules) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a network policy has more than {} rules", kMaxRules),
                     "use ranges or *.NAME");
  }
  rules_.push_back(rule);
  const auto is_allow = [](const Rule& one) { return one.allow; };
  const auto is_all = [](const Rule& one) {
    return one.allow && one.kind == Rule::Kind::kAll && one.port == 0;
  };
  open_ = std::none_of(rules_.begin(), rules_.end(), is_allow) ||
          std::any_of(rules_.begin(), rules_.end(), is_all);
  denies_names_ |=
      !rule.allow && (rule.kind == Rule::Kind::kName || rule.kind == Rule::Kind::kBelow);
  return OkStatus();
}

std::string Policy::Format() const {
  std::string text;
  for (const Rule& rule : rules_) {
    text += fmt::format("{} {}\n", rule.allow ? "allow" : "deny", FormatRule(rule));
  }
  return text;
}

Reason Policy::AskName(std::string_view name) const {
  Reason reason = open_ ? Reason::kNone : Reason::kNotAllowed;
  for (const Rule& rule : rules_) {
    if (!rule.HasName(name)) continue;
    if (!rule.allow && rule.port == 0) return Reason::kDenied;
    if (rule.allow) reason = Reason::kNone;
  }
  return reason;
}

Reason Policy::AskName(std::string_view name, std::uint16_t port) const {
  Reason reason = open_ ? Reason::kNone : Reason::kNotAllowed;
  for (const Rule& rule : rules_) {
    if (!rule.HasName(name) || !rule.HasPort(port)) continue;
    if (!rule.allow) return Reason::kDenied;
    reason = Reason::kNone;
  }
  return reason;
}

Reason Policy::AskAddress(const Address& address, std::uint16_t port, bool local) const {
  if (IsNever(address)) return Reason::kNever;
  bool allowed = open_ && !local;
  for (const Rule& rule : rules_) {
    const bool all = rule.kind == Rule::Kind::kAll;
    const bool range = rule.kind == Rule::Kind::kRange && rule.range.Has(address);
    if ((!all && !range) || !rule.HasPort(port)) continue;
    if (!rule.allow) return Reason::kDenied;
    allowed |= range || !local;
  }
  if (allowed) return Reason::kNone;
  return local ? Reason::kLocal : Reason::kNotAllowed;
}

Reason Policy::AskAnswer(const Address& address, bool local) const {
  if (IsNever(address)) return Reason::kNever;
  bool allowed = !local;
  for (const Rule& rule : rules_) {
    if (rule.kind != Rule::Kind::kRange || !rule.range.Has(address)) continue;
    if (!rule.allow && rule.port == 0) return Reason::kDenied;
    allowed |= rule.allow;
  }
  return allowed ? Reason::kNone : Reason::kLocal;
}

bool Policy::HasAddressRule(const Address& address, std::uint16_t port) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return rule.allow && rule.kind == Rule::Kind::kRange && rule.range.Has(address) &&
           rule.HasPort(port);
  });
}

bool IsNever(const Address& address) {
  if (!address.IsV4() && !IsGlobal(address) && !kUniqueLocal.Has(address)) return true;
  return std::any_of(std::begin(kNeverReached), std::end(kNeverReached),
                     [&](const AddressRange& range) { return range.Has(address); });
}

bool IsGlobal(const Address& address) {
  return AddressRange{Address(0x2000000000000000, 0), 3}.Has(address);
}

bool IsLinkLocal(const Address& address) {
  return AddressRange{Address(0xfe80000000000000, 0), 10}.Has(address);
}

bool IsMulticast(const Address& address) {
  return AddressRange{Address(0xff00000000000000, 0), 8}.Has(address);
}

LocalNetworks::LocalNetworks(std::vector<AddressRange> of_host) : of_host_(std::move(of_host)) {
  if (of_host_.size() > kMaxNetworks) of_host_.resize(kMaxNetworks);
}

bool LocalNetworks::Has(const Address& address) const {
  const auto has = [&](const AddressRange& range) { return range.Has(address); };
  return std::any_of(std::begin(kPrivate), std::end(kPrivate), has) ||
         std::any_of(of_host_.begin(), of_host_.end(), has);
}

}  // namespace pyro::net
