#include "base/json.h"

#include <vector>

#include <fmt/format.h>

#include "base/fields.h"

namespace pyro {
namespace {

bool NestingIsBounded(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxNesting) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return true;
}

// Walks CBOR (RFC 8949) without recursion: every length lies inside the input, nesting is bounded,
// and the input is one item.
class CborWalker {
 public:
  explicit CborWalker(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  bool Valid() {
    pending_.push_back(1);
    while (!pending_.empty()) {
      if (pending_.back() == 0) {
        pending_.pop_back();
        continue;
      }
      --pending_.back();
      if (!Item()) return false;
    }
    return position_ == bytes_.size();
  }

 private:
  bool Item() {
    if (position_ >= bytes_.size()) return false;
    const std::uint8_t initial = bytes_[position_++];
    const int major = initial >> 5;
    std::uint64_t value = 0;
    if (!Argument(initial & 0x1f, value)) return false;
    switch (major) {
      case 0:
      case 1:
        return true;
      case 2:
      case 3:
        if (value > bytes_.size() - position_) return false;
        position_ += value;
        return true;
      case 4:
      case 5:
        return Open(value, major == 5 ? 2 : 1);
      case 7:
        return true;
      default:
        return false;  // Tags: we write none.
    }
  }

  bool Argument(int info, std::uint64_t& value) {
    if (info < 24) {
      value = static_cast<std::uint64_t>(info);
      return true;
    }
    if (info > 27) return false;
    const std::size_t width = std::size_t{1} << (info - 24);
    if (bytes_.size() - position_ < width) return false;
    for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes_[position_++];
    return true;
  }

  bool Open(std::uint64_t count, std::uint64_t items_each) {
    // Every item takes at least one byte, so a count beyond the rest of the input is false.
    if (count > (bytes_.size() - position_) / items_each) return false;
    if (pending_.size() > static_cast<std::size_t>(kMaxNesting)) return false;
    pending_.push_back(count * items_each);
    return true;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t position_ = 0;
  std::vector<std::uint64_t> pending_;  // Items still due at each level.
};

// To a terminal DEL and the controls from U+0080 are orders, as those below U+0020 are. JSON lets
// them stand, but an escape is the same text. Outside of strings there are none.
std::string WithoutOrders(const std::string& text) {
  std::string out;
  std::size_t kept = 0;
  for (std::size_t at = 0; (at = text.find_first_of("\x7f\xc2", at)) != std::string::npos; ++at) {
    const bool one = text[at] == '\x7f';
    const auto code = static_cast<unsigned char>(text[one ? at : at + 1]);
    if (!one && code >= 0xa0) continue;
    out.append(text, kept, at - kept).append(fmt::format("\\u{:04x}", code));
    at += one ? 0 : 1;
    kept = at + 1;
  }
  return out.append(text, kept);
}

}  // namespace

Result<Json> ParseJson(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return MalformedMessage(fmt::format("longer than {} bytes", max_bytes));
  if (!NestingIsBounded(text)) return MalformedMessage("nested too deeply");
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return MalformedMessage("not JSON");
  return value;
}

Result<Json> ParseCbor(std::span<const std::uint8_t> bytes) {
  if (!CborWalker(bytes).Valid()) return MalformedMessage("not CBOR");
  Json value = Json::from_cbor(bytes.begin(), bytes.end(), /*strict=*/true,
                               /*allow_exceptions=*/false);
  if (value.is_discarded()) return MalformedMessage("not CBOR");
  return value;
}

std::string ToCbor(const Json& value) {
  std::string out;
  Json::to_cbor(value, nlohmann::detail::output_adapter<char>(out));
  return out;
}

std::string ToPrettyJson(const Json& value) {
  return WithoutOrders(value.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string ToJsonLine(const Json& value) {
  return WithoutOrders(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<std::string> GetString(const Json& object, std::string_view key, std::size_t max_bytes) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end() || !it->is_string()) {
    return MalformedMessage(fmt::format("'{}' is not a string", key));
  }
  std::string value = it->get<std::string>();
  if (value.size() > max_bytes) return MalformedMessage(fmt::format("'{}' is too long", key));
  return value;
}

Result<std::int64_t> GetInt(const Json& object, std::string_view key, std::int64_t min,
                            std::int64_t max) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end() || !it->is_number_integer()) {
    return MalformedMessage(fmt::format("'{}' is not an integer", key));
  }
  if (it->is_number_unsigned() &&
      it->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return MalformedMessage(fmt::format("'{}' is out of range", key));
  }
  const auto value = it->get<std::int64_t>();
  if (value < min || value > max) return MalformedMessage(fmt::format("'{}' is out of range", key));
  return value;
}

Result<bool> GetBool(const Json& object, std::string_view key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end() || !it->is_boolean()) {
    return MalformedMessage(fmt::format("'{}' is not a boolean", key));
  }
  return it->get<bool>();
}

}  // namespace pyro
