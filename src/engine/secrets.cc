#include "engine/secrets.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "net/control.h"
#include "net/policy.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/random.h"

namespace pyro::engine {
namespace {

constexpr std::string_view kFromFile = "file:";
constexpr std::string_view kFromVariable = "env:";
constexpr std::string_view kFor = " for ";
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxHosts = 32;
constexpr std::size_t kMaxFromBytes = 4096;
constexpr char kForm[] = "write NAME=env:VARIABLE or NAME=file:PATH, and for which host";

Error NoSecret(std::string_view text, const char* hint = kForm) {
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("'{}' is no secret", Printable(text)),
                   hint);
}

bool IsVariableName(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= kMaxNameBytes && (name[0] < '0' || name[0] > '9') &&
         std::all_of(name.begin(), name.end(), good);
}

Result<std::string> ParseHost(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const net::Rule rule, net::ParseRule(true, text));
  if (rule.kind != net::Rule::Kind::kName) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is no name of one host", Printable(text)),
                     "a secret is for hosts by their names, without '*'");
  }
  return net::FormatServedHost({rule.name, rule.port == 0 ? kHttpsPort : rule.port});
}

Result<std::string> ParseFrom(std::string_view text) {
  const bool printable =
      std::none_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < 0x20; });
  if (text.size() <= kMaxFromBytes && printable) {
    if (text.starts_with(kFromVariable) && IsVariableName(text.substr(kFromVariable.size()))) {
      return std::string(text);
    }
    if (text.starts_with(kFromFile) && text.size() > kFromFile.size()) {
      std::filesystem::path path = text.substr(kFromFile.size());
      if (path.native().starts_with("~/")) {
        path = std::filesystem::path(sys::Environment("HOME")) / path.native().substr(2);
      }
      std::error_code error;
      path = std::filesystem::absolute(path, error);
      if (!error) return std::string(kFromFile) + path.lexically_normal().native();
    }
  }
  return NoSecret(text, "a secret comes from env:VARIABLE or file:PATH, never from its value");
}

// Each start of the guest reads the file, and a pipe could be read once, or never.
Status CheckFile(const std::string& name, const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the secret {} is in no file: {}", name, Printable(path)),
                   "write it to a file that stays, or use env:VARIABLE");
}

// What the reference leads to, without the end of its line.
Result<std::string> ReadValue(const SecretReference& secret) {
  std::string value;
  if (secret.from.starts_with(kFromVariable)) {
    const std::string variable = secret.from.substr(kFromVariable.size());
    value = sys::Environment(variable.c_str());
    if (value.empty()) {
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("the secret {} is not there: the variable {} is not set here",
                                   secret.name, variable),
                       "set it for this call, or keep the secret in a file: file:PATH");
    }
  } else {
    const std::string path = secret.from.substr(kFromFile.size());
    PYRO_RETURN_IF_ERROR(CheckFile(secret.name, path));
    auto text = sys::ReadFile(path, kMaxSecretBytes + 2);
    if (!text) {
      return MakeError(
          ErrorCode::kNotFound,
          fmt::format("the secret {} is not there: {}", secret.name, text.error().message),
          fmt::format("it must be a file of at most {} bytes that you may read", kMaxSecretBytes));
    }
    value = std::move(*text);
    if (value.ends_with('\n')) value.pop_back();
    if (value.ends_with('\r')) value.pop_back();
  }
  PYRO_RETURN_IF_ERROR(CheckSecretValue(secret.name, value));
  return value;
}

std::string NewPlaceholder() {
  std::string text = "pyro-secret-";
  for (const char byte : sys::RandomBytes(16)) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

}  // namespace

Result<SecretReference> ParseSecret(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || !IsVariableName(text.substr(0, equals))) {
    // It may be a value by mistake.
    return MakeError(ErrorCode::kInvalidArgument, "a secret has no name, or no place to read it",
                     kForm);
  }
  SecretReference secret;
  secret.name = text.substr(0, equals);
  if (secret.name == "PATH" || secret.name == "HOME" || secret.name.starts_with("LD_")) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a secret cannot have the name {}", secret.name),
                     "no command would start: the guest has a placeholder in that variable");
  }
  const std::string_view rest = text.substr(equals + 1);
  const std::size_t hosts = rest.rfind(kFor);
  if (!rest.starts_with(kFromFile) && !rest.starts_with(kFromVariable)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the secret {} names no place to read it", secret.name),
                     "a secret comes from env:VARIABLE or file:PATH, never from its value");
  }
  if (hosts == std::string_view::npos) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the secret {} is for no host", secret.name),
                     "say which host gets it: --for HOST[:PORT]");
  }
  PYRO_ASSIGN_OR_RETURN(secret.from, ParseFrom(rest.substr(0, hosts)));
  for (const std::string_view one : Split(rest.substr(hosts + kFor.size()), ',')) {
    PYRO_ASSIGN_OR_RETURN(std::string host, ParseHost(TrimSpace(one)));
    if (std::find(secret.hosts.begin(), secret.hosts.end(), host) == secret.hosts.end()) {
      secret.hosts.push_back(std::move(host));
    }
  }
  if (secret.hosts.size() > kMaxHosts) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the secret {} is for more than {} hosts", secret.name, kMaxHosts));
  }
  return secret;
}

std::string FormatSecret(const SecretReference& secret) {
  return fmt::format("{}={} for {}", secret.name, secret.from, fmt::join(secret.hosts, ","));
}

std::string FormatSecretReferences(const std::vector<SecretReference>& secrets) {
  std::string text;
  for (const SecretReference& one : secrets) {
    text += fmt::format("{} {} {} {}\n", one.name, one.placeholder, fmt::join(one.hosts, ","),
                        one.from);
  }
  return text;
}

Result<std::vector<SecretReference>> ParseSecretReferences(std::string_view text) {
  std::vector<SecretReference> secrets;
  for (const std::string_view line : Split(text, '\n')) {
    if (line.empty()) continue;
    const std::size_t name = line.find(' ');
    const std::size_t placeholder = name == line.npos ? name : line.find(' ', name + 1);
    const std::size_t hosts =
        placeholder == line.npos ? placeholder : line.find(' ', placeholder + 1);
    if (hosts == line.npos || secrets.size() >= kMaxSecrets) {
      return MakeError(ErrorCode::kInternal, "the registry's secrets are not as pyro writes them");
    }
    PYRO_ASSIGN_OR_RETURN(
        SecretReference secret,
        ParseSecret(fmt::format("{}={} for {}", line.substr(0, name), line.substr(hosts + 1),
                                line.substr(placeholder + 1, hosts - placeholder - 1))));
    secret.placeholder = line.substr(name + 1, placeholder - name - 1);
    secrets.push_back(std::move(secret));
  }
  return secrets;
}

Status ResolveSecrets(VmOptions& options) {
  if (options.secrets.empty()) return OkStatus();
  if (options.allow_host_compat) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "allow_host_compat is set, and on this host no secret would stay outside",
                     "leave out allow_host_compat, or the secrets");
  }
  if (options.secrets.size() > kMaxSecrets) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("there are more than {} secrets", kMaxSecrets));
  }
  const bool open = options.network && options.allow.empty();
  std::vector<std::string> names;
  for (std::string& text : options.secrets) {
    PYRO_ASSIGN_OR_RETURN(const SecretReference secret, ParseSecret(text));
    if (std::find(names.begin(), names.end(), secret.name) != names.end()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("there are two secrets {}", secret.name),
                       "give one of them another name");
    }
    names.push_back(secret.name);
    PYRO_RETURN_IF_ERROR(ReadValue(secret));
    text = FormatSecret(secret);
    for (const std::string& host : secret.hosts) {
      const bool has =
          std::find(options.allow.begin(), options.allow.end(), host) != options.allow.end();
      if (!open && !has) options.allow.push_back(host);
    }
  }
  options.network = true;
  return OkStatus();
}

std::string SecretReferencesOf(const VmOptions& options) {
  std::vector<SecretReference> secrets;
  for (const std::string& text : options.secrets) {
    auto secret = ParseSecret(text);
    if (!secret) continue;  // Resolved options have none.
    secret->placeholder = NewPlaceholder();
    secrets.push_back(std::move(*secret));
  }
  return FormatSecretReferences(secrets);
}

Result<std::vector<SecretValue>> ReadSecretValues(std::string_view references) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<SecretReference> secrets,
                        ParseSecretReferences(references));
  std::vector<SecretValue> values;
  for (const SecretReference& one : secrets) {
    PYRO_ASSIGN_OR_RETURN(std::string value, ReadValue(one));
    values.push_back({one.name, one.placeholder, std::move(value),
                      fmt::format("{}", fmt::join(one.hosts, " "))});
  }
  return values;
}

std::vector<std::string> DescribeSecrets(std::string_view references) {
  std::vector<std::string> described;
  const auto secrets = ParseSecretReferences(references);
  if (!secrets) return described;
  for (const SecretReference& one : *secrets)
    described.push_back(Printable(FormatSecret(one), 5000));
  return described;
}

}  // namespace pyro::engine
