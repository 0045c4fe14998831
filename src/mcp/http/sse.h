// Server-sent events: bytes of a stream, and the ids by which a client comes back to one.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro::mcp {

// A client's position: an event's number in a stream of its session.
struct EventId {
  std::string stream;  // 1 to kMaxStreamName of [a-z0-9].
  std::uint64_t number = 0;
};

inline constexpr std::size_t kMaxStreamName = 24;

std::string FormatEventId(const EventId& id);
// nullopt: not of that form. For Last-Event-ID.
std::optional<EventId> ParseEventId(std::string_view text);

// One event. `json` has no line ends, `id` may be empty.
std::string FormatEvent(std::string_view json, std::string_view id);
// An event without a message that gives the client its position and the delay before it comes back.
std::string FormatPrimer(std::string_view id, std::chrono::milliseconds retry);
// Keeps a quiet stream alive.
std::string FormatComment();

}  // namespace pyro::mcp
