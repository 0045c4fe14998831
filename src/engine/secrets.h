// The secrets of a guest: what a call says of them, what is stored, and their values, which each
// start of the guest reads.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro::engine {

struct SecretReference {
  std::string name;                // Of the variable in the guest.
  std::string placeholder;         // Its value there; stays the same for all starts.
  std::vector<std::string> hosts;  // "api.example:443"
  std::string from;                // "file:/absolute/path" or "env:VARIABLE"
};

// "NAME=env:VARIABLE for HOST[:PORT],…" or "NAME=file:PATH for …". The placeholder is empty.
// kInvalidArgument. Pure.
Result<SecretReference> ParseSecret(std::string_view text);
// The same text, with what was left out.
std::string FormatSecret(const SecretReference& secret);

// A line each, as the registry has them; ParseSecretReferences() takes no other. kInternal.
std::string FormatSecretReferences(const std::vector<SecretReference>& secrets);
Result<std::vector<SecretReference>> ParseSecretReferences(std::string_view text);

// Secrets in these options get their full form, and their hosts become rules if other rules leave
// nothing else; with any of them the guest has a network. To be called after ResolveNetworkRules().
// kInvalidArgument: one that makes no sense, or allow_host_compat. kNotFound: a value is not there.
Status ResolveSecrets(VmOptions& options);

// Of resolved options, with new placeholders, as they are stored.
std::string SecretReferencesOf(const VmOptions& options);

// The values of stored references. kNotFound: one is not there now. kInvalidArgument: it cannot be
// sent. The messages have no value.
Result<std::vector<SecretValue>> ReadSecretValues(std::string_view references);

// For results, each as FormatSecret().
std::vector<std::string> DescribeSecrets(std::string_view references);

}  // namespace pyro::engine
