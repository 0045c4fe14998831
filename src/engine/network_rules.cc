#include "engine/network_rules.h"

#include <fcntl.h>

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/paths.h"
#include "net/network.h"
#include "net/policy.h"
#include "net/presets.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

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

Result<net::Policy> PolicyOf(const std::vector<std::string>& allow,
                             const std::vector<std::string>& deny, const std::string& file) {
  net::Policy policy;
  if (!file.empty()) {
    PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadFile(file, net::kMaxPolicyBytes));
    PYRO_ASSIGN_OR_RETURN(policy, net::Policy::Parse(text, FindPreset));
  }
  PYRO_RETURN_IF_ERROR(AddWords(policy, allow, true));
  PYRO_RETURN_IF_ERROR(AddWords(policy, deny, false));
  if (policy.Format().size() > net::kMaxPolicyBytes) {
    return MakeError(ErrorCode::kInvalidArgument, "the network's rules are too long",
                     "use *.NAME and ranges of addresses");
  }
  return policy;
}

}  // namespace

bool HasNetworkRules(const VmOptions& options) {
  return !options.allow.empty() || !options.deny.empty() || !options.network_policy.empty();
}

Status ResolveNetworkRules(VmOptions& options) {
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
  if (!name && (asked.kind != net::Rule::Kind::kRange || asked.range.bits != 32)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is not one host", Printable(request.host)),
                     "give a name or an address, and :PORT behind it if you like");
  }
  PolicyAnswer answer;
  answer.host = net::FormatRule(asked);
  net::Reason reason = net::Reason::kNone;
  if (!name) {
    const net::Ipv4 address = asked.range.network;
    reason = policy.AskAddress(address, asked.port, net::NetworksOfHost().Has(address));
  } else {
    reason = asked.port == 0 ? policy.AskName(asked.name) : policy.AskName(asked.name, asked.port);
  }
  answer.allowed = reason == net::Reason::kNone;
  if (answer.allowed) return answer;
  answer.reason = net::Name(reason);
  answer.why = net::Sentence(reason);
  answer.rule = net::RuleFor({.reason = reason,
                              .protocol = "tcp",
                              .name = asked.name,
                              .address = name ? 0 : asked.range.network,
                              .port = asked.port});
  return answer;
}

}  // namespace pyro::engine
