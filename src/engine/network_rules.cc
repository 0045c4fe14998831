#include "engine/network_rules.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/paths.h"
#include "net/network.h"
#include "net/policy.h"
#include "net/presets.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/unique_fd.h"

namespace pyro::engine {
namespace {

bool HasNetworkRules(const VmOptions& options) {
  return !options.allow.empty() || !options.deny.empty() || !options.network_policy.empty();
}

Result<net::Presets> ReadPresets() {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path file, NetworkPresets());
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadFile(file, net::kMaxPresetsBytes));
  return net::ParsePresets(text);
}

Result<std::vector<std::string>> FindPreset(std::string_view name) {
  PYRO_ASSIGN_OR_RETURN(const net::Presets presets, ReadPresets());
  if (const auto found = presets.find(name); found != presets.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, hosts] : presets) names.push_back(known);
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is no preset of hosts", Printable(name)),
                   fmt::format("there are {}", fmt::join(names, ", ")));
}

Status AddWords(net::Policy& policy, const std::vector<std::string>& words, bool allow) {
  for (const std::string& word : words) {
    std::vector<std::string> hosts = {word};
    if (word.starts_with('@')) {
      PYRO_ASSIGN_OR_RETURN(hosts, FindPreset(word));
    }
    for (const std::string& host : hosts) {
      PYRO_ASSIGN_OR_RETURN(const net::Rule rule, net::ParseRule(allow, host));
      PYRO_RETURN_IF_ERROR(policy.Add(rule));
    }
  }
  return OkStatus();
}

Error TooLong() {
  return MakeError(ErrorCode::kInvalidArgument, "the network's rules are too long",
                   "use *.NAME and ranges of addresses");
}

// What a policy says to the one host of a rule; kNone for a rule of more than one.
net::Reason AskRule(const net::Policy& policy, const net::Rule& rule, bool local) {
  if (rule.kind == net::Rule::Kind::kName) {
    return rule.port == 0 ? policy.AskName(rule.name) : policy.AskName(rule.name, rule.port);
  }
  if (rule.kind != net::Rule::Kind::kRange || !rule.range.IsOne()) return net::Reason::kNone;
  return policy.AskAddress(rule.range.network, rule.port, local);
}

// Names that lead to the loopback wherever they are asked for (RFC 6761).
bool IsLoopback(std::string_view name) {
  return name == "localhost" || name.ends_with(".localhost");
}

// A named pipe that nothing writes to is empty: opened as other files are, it would hold the caller
// up, whose signals are blocked.
Result<std::string> ReadPolicyFile(const std::string& file) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenFile(file, O_RDONLY | O_NONBLOCK));
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) < 0) {
    return sys::ErrnoError(errno, "open", file);
  }
  auto text = sys::ReadAll(fd.get(), net::kMaxPolicyBytes);
  if (text) {
    // Some editors write it before the first line.
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (text->starts_with(kByteOrderMark)) text->erase(0, kByteOrderMark.size());
    return text;
  }
  Error error = std::move(text).error();
  error.message = fmt::format("'{}': {}", Printable(file), error.message);
  return error;
}

Result<net::Policy> PolicyOf(const std::vector<std::string>& allow,
                             const std::vector<std::string>& deny, const std::string& file) {
  net::Policy policy;
  if (!file.empty()) {
    PYRO_ASSIGN_OR_RETURN(const std::string text, ReadPolicyFile(file));
    PYRO_ASSIGN_OR_RETURN(policy, net::Policy::Parse(text, FindPreset));
    // It would open the network.
    if (policy.rules().empty()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("'{}' has no rule", Printable(file)),
                       "write 'allow HOST' or 'deny HOST' in it; --network alone needs no file");
    }
  }
  PYRO_RETURN_IF_ERROR(AddWords(policy, allow, true));
  PYRO_RETURN_IF_ERROR(AddWords(policy, deny, false));
  if (policy.Format().size() > net::kMaxPolicyBytes) return TooLong();
  return policy;
}

}  // namespace

bool NeedsOwnNetwork(const VmOptions& options) {
  return HasNetworkRules(options) || !options.secrets.empty() || options.cache;
}

Status ResolveNetworkRules(VmOptions& options) {
  if (options.cache && options.allow_host_compat) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "allow_host_compat is set, and on this host there is no cache of downloads",
                     "leave out allow_host_compat, or cache");
  }
  if (!HasNetworkRules(options)) return OkStatus();
  if (options.allow_host_compat) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "allow_host_compat is set, and on this host no rule of the network would hold",
                     "leave out allow_host_compat, or the rules");
  }
  PYRO_ASSIGN_OR_RETURN(const net::Policy policy,
                        PolicyOf(options.allow, options.deny, options.network_policy));
  options.network = true;
  options.network_policy.clear();
  options.allow.clear();
  options.deny.clear();
  for (const net::Rule& rule : policy.rules()) {
    (rule.allow ? options.allow : options.deny).push_back(net::FormatRule(rule));
  }
  return OkStatus();
}

std::string NetworkRulesText(const VmOptions& options) {
  std::string text;
  for (const std::string& rule : options.allow) text += "allow " + rule + "\n";
  for (const std::string& rule : options.deny) text += "deny " + rule + "\n";
  return text;
}

Result<ChangedRules> ChangeNetworkRules(const std::string& text, RuleVerb verb,
                                        const std::vector<std::string>& words) {
  PYRO_ASSIGN_OR_RETURN(const net::Policy before, net::Policy::Parse(text));
  net::Policy wished;
  PYRO_RETURN_IF_ERROR(AddWords(wished, words, verb == RuleVerb::kAllow));
  const auto has = [](const net::Policy& policy, const net::Rule& rule) {
    return std::find(policy.rules().begin(), policy.rules().end(), rule) != policy.rules().end();
  };
  ChangedRules changed;
  net::Policy policy;
  for (const net::Rule& rule : before.rules()) {
    net::Rule opposite = rule;
    opposite.allow = true;
    if (!rule.allow && has(wished, opposite)) {
      changed.changes.push_back("no deny " + net::FormatRule(rule));
      continue;
    }
    PYRO_RETURN_IF_ERROR(policy.Add(rule));
  }
  const auto add = [&](const net::Rule& rule) -> Status {
    if (has(policy, rule)) return OkStatus();
    changed.changes.push_back((rule.allow ? "allow " : "deny ") + net::FormatRule(rule));
    return policy.Add(rule);
  };
  // A first allow rule alone would take away all the rest.
  const bool open = std::none_of(policy.rules().begin(), policy.rules().end(),
                                 [](const net::Rule& rule) { return rule.allow; });
  if (verb == RuleVerb::kAllow && open) {
    PYRO_RETURN_IF_ERROR(add({.kind = net::Rule::Kind::kAll, .name = {}, .range = {}}));
  }
  for (const net::Rule& rule : wished.rules()) {
    PYRO_RETURN_IF_ERROR(add(rule));
    if (rule.allow && AskRule(policy, rule, false) == net::Reason::kDenied) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("a deny rule goes before '{}'", net::FormatRule(rule)),
                       "'pyro task network show' has the rules; allow what that rule names to "
                       "take it away");
    }
  }
  changed.text = policy.Format();
  if (changed.text.size() > net::kMaxPolicyBytes) return TooLong();
  return changed;
}

std::vector<std::string> DescribeNetworkRules(const std::string& text) {
  std::vector<std::string> rules;
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.empty()) rules.emplace_back(line);
  }
  return rules;
}

std::vector<DeniedConnection> DescribeDenied(const std::vector<Denied>& denied) {
  std::vector<DeniedConnection> described;
  for (const Denied& one : denied) {
    described.push_back({Printable(one.host, 253), Printable(one.address), one.port,
                         Printable(one.protocol), Printable(one.reason), Printable(one.why),
                         Printable(one.rule, 260), one.count});
  }
  return described;
}

Result<PolicyAnswer> AskPolicy(const CheckPolicyRequest& request) {
  PYRO_ASSIGN_OR_RETURN(const net::Policy policy,
                        PolicyOf(request.allow, request.deny, request.network_policy));
  PYRO_ASSIGN_OR_RETURN(const net::Rule asked, net::ParseRule(true, request.host));
  const bool name = asked.kind == net::Rule::Kind::kName;
  if (!name && (asked.kind != net::Rule::Kind::kRange || !asked.range.IsOne())) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not one host", Printable(request.host)),
                     "give a name or an address, and :PORT behind it if you like");
  }
  PolicyAnswer answer;
  answer.host = net::FormatRule(asked);
  const bool local = !name && net::NetworksOfHost().Has(asked.range.network);
  net::Reason reason = AskRule(policy, asked, local);
  if (name && reason == net::Reason::kNone && IsLoopback(asked.name)) reason = net::Reason::kNever;
  answer.allowed = reason == net::Reason::kNone;
  if (answer.allowed) return answer;
  answer.reason = net::Name(reason);
  answer.why = net::Sentence(reason);
  answer.rule = net::RuleFor({.reason = reason,
                              .protocol = "tcp",
                              .name = asked.name,
                              .address = name ? net::Address() : asked.range.network,
                              .port = asked.port});
  return answer;
}

}  // namespace pyro::engine
