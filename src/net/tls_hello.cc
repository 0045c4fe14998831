#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "net/bytes.h"
#include "net/first_bytes.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kMajorVersion = 3;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kRecordHeaderBytes = 5;
constexpr std::size_t kMaxRecordBytes = 16384;
constexpr std::size_t kHandshakeHeaderBytes = 4;
constexpr std::size_t kVersionAndRandomBytes = 2 + 32;
constexpr std::uint16_t kServerName = 0;
constexpr std::uint8_t kHostName = 0;

FirstLook Bad() { return {.kind = FirstLook::Kind::kBad, .names = {}}; }
FirstLook NoName() { return {.kind = FirstLook::Kind::kNoName, .names = {}}; }

// The rest of a structure; each part is taken from its begin.
class Rest {
 public:
  explicit Rest(Frame bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }

  std::optional<Frame> Take(std::size_t count) {
    if (bytes_.size() < count) return std::nullopt;
    const Frame taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  std::optional<std::uint16_t> Take16() {
    const auto taken = Take(2);
    if (!taken) return std::nullopt;
    return Get16(*taken, 0);
  }
  // What stands behind its length of one byte, or two.
  std::optional<Frame> TakeShort() {
    const auto length = Take(1);
    return length ? Take((*length)[0]) : std::nullopt;
  }
  std::optional<Frame> TakeLong() {
    const auto length = Take16();
    return length ? Take(*length) : std::nullopt;
  }

 private:
  Frame bytes_;
};

FirstLook NamesOfExtension(Frame extension) {
  Rest all(extension);
  const auto list = all.TakeLong();
  if (!list || !all.empty()) return Bad();
  FirstLook look{.kind = FirstLook::Kind::kNames, .names = {}};
  Rest entries(*list);
  while (!entries.empty()) {
    const auto type = entries.Take(1);
    const auto name = entries.TakeLong();
    if (!type || !name) return Bad();
    if ((*type)[0] != kHostName) continue;
    const std::string text(name->begin(), name->end());
    look.names.push_back(CanonicalName(text).value_or(text));
  }
  return look.names.size() == 1 ? look : Bad();
}

FirstLook LookAtHello(Frame body) {
  Rest rest(body);
  if (!rest.Take(kVersionAndRandomBytes) || !rest.TakeShort() || !rest.TakeLong() ||
      !rest.TakeShort()) {
    return Bad();
  }
  if (rest.empty()) return NoName();
  const auto extensions = rest.TakeLong();
  if (!extensions || !rest.empty()) return Bad();
  std::optional<Frame> found;
  Rest list(*extensions);
  while (!list.empty()) {
    const auto type = list.Take16();
    const auto content = list.TakeLong();
    if (!type || !content) return Bad();
    if (*type != kServerName) continue;
    if (found) return Bad();
    found = content;
  }
  return found ? NamesOfExtension(*found) : NoName();
}

}  // namespace

FirstLook LookForTls(Frame bytes) {
  if (bytes.empty()) return {};
  if (bytes[0] != kHandshake) return NoName();
  if (bytes.size() >= 2 && bytes[1] != kMajorVersion) return NoName();
  // The hello may be spread over records.
  std::string hello;
  while (true) {
    if (hello.size() >= kHandshakeHeaderBytes) {
      const Frame message = AsBytes(hello);
      if (message[0] != kClientHello) return Bad();
      const std::size_t length = Get32(message, 0) & 0xffffff;
      if (length > kMaxFirstBytes) return Bad();
      if (message.size() - kHandshakeHeaderBytes >= length) {
        return LookAtHello(message.subspan(kHandshakeHeaderBytes, length));
      }
    }
    if (bytes.size() < kRecordHeaderBytes) return {};
    const std::size_t length = Get16(bytes, 3);
    if (bytes[0] != kHandshake || bytes[1] != kMajorVersion || length == 0 ||
        length > kMaxRecordBytes) {
      return Bad();
    }
    const Frame content =
        bytes.subspan(kRecordHeaderBytes, std::min(length, bytes.size() - kRecordHeaderBytes));
    hello.append(reinterpret_cast<const char*>(content.data()), content.size());
    if (content.size() < length) {
      // The record may hold more than the hello.
      const Frame message = AsBytes(hello);
      const bool whole = message.size() >= kHandshakeHeaderBytes &&
                         message.size() - kHandshakeHeaderBytes >= (Get32(message, 0) & 0xffffff);
      if (!whole) return {};
      bytes = {};
      continue;
    }
    bytes = bytes.subspan(kRecordHeaderBytes + length);
  }
}

}  // namespace pyro::net
