#include "net/policy.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::net {
namespace {

constexpr std::size_t kMaxLabelBytes = 63;
constexpr char kRuleHint[] =
    "use a name, *.NAME, an IPv4 address, ADDRESS/BITS or *, and :PORT behind it if you like";

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

std::optional<Ipv4> ParseAddress(std::string_view text) {
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

std::string WithPort(std::string text, std::uint16_t port) {
  if (port != 0) text += fmt::format(":{}", port);
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
     "loopback, link-local, multicast and reserved addresses are never reached"},
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
    {Reason::kUpstream, "upstream",
     "this host does not trust the server's certificate, or may not reach its address"},
};

constexpr AddressRange kPrivate[] = {
    {0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}, {0x64400000, 10}};

constexpr AddressRange kNeverReached[] = {
    {0x00000000, 8}, {0x7f000000, 8}, {0xa9fe0000, 16}, {0xe0000000, 3}, {kNetwork, kPrefix}};

}  // namespace

Result<AddressRange> ParseAddressRange(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = ParseAddress(text.substr(0, slash));
  if (!address) return BadRule(text, "is no IPv4 address");
  AddressRange range{*address, 32};
  if (slash == std::string_view::npos) return range;
  const auto bits = ParseSmall(text.substr(slash + 1), 32);
  if (!bits || *bits == 0) return BadRule(text, "needs 1 to 32 bits behind the slash");
  range.bits = *bits;
  const Ipv4 mask = range.bits == 32 ? ~Ipv4{0} : ~(~Ipv4{0} >> range.bits);
  if ((range.network & ~mask) != 0) return BadRule(text, "has bits beyond its prefix");
  return range;
}

std::string FormatAddress(Ipv4 address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                     address & 0xff);
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
  if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
    if (host.find(':', colon + 1) != std::string_view::npos) {
      return BadRule(text, "is an IPv6 address, and guests have none");
    }
    const auto port = ParseSmall(host.substr(colon + 1), 65535);
    if (!port || *port == 0) return BadRule(text, "needs a port from 1 to 65535 behind the colon");
    rule.port = static_cast<std::uint16_t>(*port);
    host = host.substr(0, colon);
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
  std::string text = FormatAddress(rule.range.network);
  if (rule.range.bits != 32) text += fmt::format("/{}", rule.range.bits);
  return WithPort(std::move(text), rule.port);
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

Reason Policy::AskAddress(Ipv4 address, std::uint16_t port, bool local) const {
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

Reason Policy::AskAnswer(Ipv4 address, bool local) const {
  if (IsNever(address)) return Reason::kNever;
  bool allowed = !local;
  for (const Rule& rule : rules_) {
    if (rule.kind != Rule::Kind::kRange || !rule.range.Has(address)) continue;
    if (!rule.allow && rule.port == 0) return Reason::kDenied;
    allowed |= rule.allow;
  }
  return allowed ? Reason::kNone : Reason::kLocal;
}

bool Policy::HasAddressRule(Ipv4 address, std::uint16_t port) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return rule.allow && rule.kind == Rule::Kind::kRange && rule.range.Has(address) &&
           rule.HasPort(port);
  });
}

bool IsNever(Ipv4 address) {
  return std::any_of(std::begin(kNeverReached), std::end(kNeverReached),
                     [&](const AddressRange& range) { return range.Has(address); });
}

LocalNetworks::LocalNetworks(std::vector<AddressRange> of_host) : of_host_(std::move(of_host)) {
  if (of_host_.size() > kMaxNetworks) of_host_.resize(kMaxNetworks);
}

bool LocalNetworks::Has(Ipv4 address) const {
  const auto has = [&](const AddressRange& range) { return range.Has(address); };
  return std::any_of(std::begin(kPrivate), std::end(kPrivate), has) ||
         std::any_of(of_host_.begin(), of_host_.end(), has);
}

}  // namespace pyro::net
