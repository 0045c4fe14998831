// The rules of a guest's network, from the options of a call.

#pragma once

#include <string>
#include <vector>

#include "base/denied.h"
#include "pyro/calls.h"
#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro::engine {

// Presets and the policy file in these options become rules in `allow` and `deny`; with any of them
// the guest has a network. kInvalidArgument: a rule that makes no sense, no such preset or file, or
// allow_host_compat with rules, which nothing would hold on the host.
Status ResolveNetworkRules(VmOptions& options);

// Its network differs from that of a spare.
bool NeedsOwnNetwork(const VmOptions& options);

// Of resolved options: lines of a net::Policy, as they are stored.
std::string NetworkRulesText(const VmOptions& options);

// The rules of a task after words such as --allow or --deny takes were added.
struct ChangedRules {
  std::string text;                  // As NetworkRulesText().
  std::vector<std::string> changes;  // Each as "allow registry.example", or "no deny …".
};
enum class RuleVerb { kAllow, kDeny };
// kInvalidArgument: as of ResolveNetworkRules(), or a deny rule goes before what is allowed.
Result<ChangedRules> ChangeNetworkRules(const std::string& text, RuleVerb verb,
                                        const std::vector<std::string>& words);

// For results: one rule each, as "allow registry.example:443".
std::vector<std::string> DescribeNetworkRules(const std::string& text);
std::vector<DeniedConnection> DescribeDenied(const std::vector<Denied>& denied);

// What `options` would say to a connection to host, without a guest.
Result<PolicyAnswer> AskPolicy(const CheckPolicyRequest& request);

}  // namespace pyro::engine
