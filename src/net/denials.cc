#include "net/denials.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::net {
namespace {

constexpr std::array<std::string_view, 5> kProtocols = {"tcp", "udp", "icmp", "dns", "other"};
// Between two refusals that are told, in a flood.
constexpr std::chrono::nanoseconds kEach =
    std::chrono::nanoseconds(std::chrono::seconds(1)) / DenialLog::kPerSecond;

}  // namespace

std::string Target(const Denial& denial) {
  const std::string text =
      WithPort(denial.name.empty() ? FormatAddress(denial.address) : denial.name, denial.port);
  if (!denial.name.empty() && !denial.address.none()) {
    return fmt::format("{} at {} ({})", text, FormatAddress(denial.address), denial.protocol);
  }
  return fmt::format("{} ({})", text, denial.protocol);
}

std::string RuleFor(const Denial& denial) {
  std::string host;
  switch (denial.reason) {
    case Reason::kNotAllowed:
    case Reason::kOtherName:
      host = CanonicalName(denial.name) ? denial.name
             : !denial.address.none()   ? FormatAddress(denial.address)
                                        : "";
      break;
    case Reason::kLocal:
    case Reason::kNameUnknown:
    case Reason::kQuic:
      if (!denial.address.none()) host = FormatAddress(denial.address);
      break;
    default:
      break;
  }
  return host.empty() ? host : WithPort(host, denial.port);
}

std::string FormatDenial(const Denial& denial) {
  return ToJsonLine({{"reason", Name(denial.reason)},
                     {"protocol", denial.protocol},
                     {"name", denial.name},
                     {"address", denial.address.none() ? "" : FormatAddress(denial.address)},
                     {"port", denial.port},
                     {"count", denial.count}});
}

Result<Denial> ParseDenial(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxDenialBytes));
  if (!json.is_object()) return MakeError(ErrorCode::kProtocol, "a denial is no object");
  Denial denial;
  PYRO_ASSIGN_OR_RETURN(const std::string reason, GetString(json, "reason", 32));
  PYRO_ASSIGN_OR_RETURN(denial.protocol, GetString(json, "protocol", 8));
  PYRO_ASSIGN_OR_RETURN(denial.name, GetString(json, "name", kMaxDnsNameBytes));
  PYRO_ASSIGN_OR_RETURN(const std::string address, GetString(json, "address", 45));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t port, GetInt(json, "port", 0, 65535));
  PYRO_ASSIGN_OR_RETURN(denial.count, GetInt(json, "count", 1, std::int64_t{1} << 40));
  const auto known = ParseReason(reason);
  const bool names = denial.name.empty() || CanonicalName(denial.name) == denial.name;
  const auto at = ParseAddress(address);
  if (!known || !names || (!at && !address.empty()) ||
      std::find(kProtocols.begin(), kProtocols.end(), denial.protocol) == kProtocols.end()) {
    return MakeError(ErrorCode::kProtocol, "a denial has a value that does not exist");
  }
  denial.reason = *known;
  denial.address = at.value_or(Address());
  denial.port = static_cast<std::uint16_t>(port);
  return denial;
}

void DenialLog::Add(const Denial& denial) {
  const Key key(denial.reason, denial.protocol, denial.name, denial.address, denial.port);
  if (const auto found = waiting_.find(key); found != waiting_.end()) {
    found->second.count += denial.count;
  } else if (waiting_.size() < kMaxKinds) {
    waiting_.emplace(key, denial);
  }
}

std::vector<Denial> DenialLog::Take(SteadyTime now) {
  std::vector<Denial> taken;
  if (waiting_.empty()) return taken;
  if (now - counted_at_ >= kBurst * kEach) {
    left_ = kBurst;
    counted_at_ = now;
  } else if (const auto more = (now - counted_at_) / kEach; more > 0) {
    left_ = std::min(kBurst, left_ + static_cast<int>(more));
    counted_at_ = now;
  }
  while (left_ > 0 && !waiting_.empty()) {
    taken.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
    --left_;
  }
  return taken;
}

std::optional<SteadyTime> DenialLog::Next() const {
  if (waiting_.empty()) return std::nullopt;
  return left_ > 0 ? counted_at_ : counted_at_ + kEach;
}

}  // namespace pyro::net
