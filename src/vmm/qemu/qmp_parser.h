// The QEMU machine protocol as bytes in, messages out. Pure: no I/O, no clock.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "pyro/result.h"

namespace pyro::vmm::qemu {

inline constexpr std::size_t kMaxQmpLineBytes = 1024 * 1024;

struct QmpMessage {
  enum class Kind { kGreeting, kReturn, kError, kEvent };
  Kind kind = Kind::kEvent;
  std::string name;  // Of an event: "SHUTDOWN". Of an error: its class, "CommandNotFound".
  Json value;  // The returned value, the event's data, or the greeting; null if there is none.
  std::string text;      // Of an error: its description.
  std::int64_t id = -1;  // Of a return or an error: the id of the command; -1 if it has none.
};

// kProtocol: not JSON or none of the four kinds.
Result<QmpMessage> ParseQmpLine(std::string_view line);

// Cuts a stream into lines. After an error it stays broken: the next line cannot be found.
class QmpParser {
 public:
  void Feed(std::string_view bytes);

  // The next whole message; nullopt: more bytes are needed. kProtocol: ParseQmpLine() refuses it,
  // or the line is longer than kMaxQmpLineBytes. Holds at most that and the bytes of one Feed().
  Result<std::optional<QmpMessage>> Next();

 private:
  std::string buffer_;
  std::size_t searched_ = 0;  // buffer_ has no line end before this.
  bool broken_ = false;
};

// One line, its end included.
std::string FormatQmpCommand(std::string_view command, const Json& arguments, std::int64_t id);

}  // namespace pyro::vmm::qemu
