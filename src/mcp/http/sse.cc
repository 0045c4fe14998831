#include "mcp/http/sse.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kSeparator = "::";

}  // namespace

std::string FormatEventId(const EventId& id) {
  return fmt::format("{}{}{}", id.stream, kSeparator, id.number);
}

std::optional<EventId> ParseEventId(std::string_view text) {
  const std::size_t separator = text.find(kSeparator);
  if (separator == std::string_view::npos || separator == 0 || separator > kMaxStreamName) {
    return std::nullopt;
  }
  const std::string_view stream = text.substr(0, separator);
  const std::string_view digits = text.substr(separator + kSeparator.size());
  const bool named = std::all_of(stream.begin(), stream.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
  const auto number = ParseInt(digits);
  if (!named || !number || *number < 0 || std::to_string(*number) != digits) return std::nullopt;
  return EventId{std::string(stream), static_cast<std::uint64_t>(*number)};
}

std::string FormatEvent(std::string_view json, std::string_view id) {
  if (id.empty()) return fmt::format("event: message\ndata: {}\n\n", json);
  return fmt::format("event: message\nid: {}\ndata: {}\n\n", id, json);
}

std::string FormatPrimer(std::string_view id, std::chrono::milliseconds retry) {
  return fmt::format("id: {}\nretry: {}\ndata: \n\n", id, retry.count());
}

std::string FormatComment() { return ": keep-alive\n\n"; }

}  // namespace pyro::mcp
