#include "mcp/schema/schema.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/schema/schema_node.h"

namespace pyro::mcp {
namespace {

constexpr int kMaxSteps = 1'000'000;
constexpr int kMaxValueDepth = 200;
constexpr std::size_t kMaxQuoted = 64;  // Longer strings hold no number or flag.

bool IsWhole(const Json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && std::floor(number) == number;
}

bool HasType(const Json& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return IsWhole(value);
  return value.is_number();
}

std::size_t CodePoints(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Show(const Json& value) { return Printable(ToJsonLine(value), 60); }

// The value itself is shown only where a number or a flag belongs: texts and objects may hold
// secrets. One that came as a string says so: the quotes are easily overlooked.
std::string WrongType(const std::vector<std::string>& types, const Json& value) {
  const bool plain = std::all_of(types.begin(), types.end(), [](const std::string& type) {
    return type == "integer" || type == "number" || type == "boolean";
  });
  std::string reason = fmt::format("must be of type {}, got {}", fmt::join(types, " or "),
                                   plain ? Show(value) : std::string(value.type_name()));
  if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxQuoted) return reason;
  const Json inside = Json::parse(value.get_ref<const std::string&>(), nullptr, false);
  const bool fits = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
    return !inside.is_discarded() && !inside.is_string() && HasType(inside, type);
  });
  return fits ? reason + "; leave out the quotes" : reason;
}

// One validation. Every schema that is checked is a step, whether it fits or not.
class Validator {
 public:
  std::vector<Violation> Run(const SchemaNode& root, const Json& value) {
    std::vector<Violation> found;
    Check(root, value, "", &found);
    if (exhausted_) found.push_back({"", "too much to check"});
    return found;
  }

 private:
  using Violations = std::vector<Violation>;

  bool Spend(std::size_t steps = 1) {
    spent_ += steps;
    if (spent_ > kMaxSteps || depth_ > kMaxValueDepth) exhausted_ = true;
    return !exhausted_;
  }

  // `found` may be null: only whether it fits is asked.
  bool Check(const SchemaNode& node, const Json& value, const std::string& path,
             Violations* found) {
    if (!Spend()) return false;
    ++depth_;
    bool fits = true;
    const auto fail = [&](std::string reason) {
      fits = false;
      if (found != nullptr && found->size() < kMaxViolations) {
        found->push_back({path, std::move(reason)});
      }
    };
    if (node.always && !*node.always) fail("not allowed");
    if (!node.types.empty() && std::none_of(node.types.begin(), node.types.end(),
                                            [&](auto& type) { return HasType(value, type); })) {
      fail(WrongType(node.types, value));
    } else {
      Values(node, value, fail);
      if (value.is_object()) fits = Object(node, value, path, found, fail) && fits;
      if (value.is_array()) fits = Array(node, value, path, found, fail) && fits;
      if (value.is_string()) String(node, value.get_ref<const std::string&>(), fail);
      if (value.is_number()) Number(node, value, fail);
    }
    fits = Combined(node, value, path, found, fail) && fits;
    --depth_;
    return fits && !exhausted_;
  }

  template <typename Fail>
  void Values(const SchemaNode& node, const Json& value, const Fail& fail) {
    if (node.constant && value != *node.constant)
      fail(fmt::format("must be {}", Show(*node.constant)));
    if (!node.choices) return;
    if (!Spend(node.choices->size())) return;
    if (std::find(node.choices->begin(), node.choices->end(), value) != node.choices->end()) return;
    fail(fmt::format("must be one of {}, got {}", Printable(ToJsonLine(*node.choices), 300),
                     Show(value)));
  }

  template <typename Fail>
  bool Object(const SchemaNode& node, const Json& value, const std::string& path, Violations* found,
              const Fail& fail) {
    bool fits = true;
    for (const std::string& name : node.required) {
      if (!value.contains(name)) fail(fmt::format("'{}' is required", name));
    }
    if (node.min_properties && value.size() < *node.min_properties) {
      fail(fmt::format("must have at least {} properties", *node.min_properties));
    }
    if (node.max_properties && value.size() > *node.max_properties) {
      fail(fmt::format("must have at most {} properties", *node.max_properties));
    }
    for (const auto& [name, member] : value.items()) {
      if (!Spend()) return false;
      const auto property = node.properties.find(name);
      const bool listed = property != node.properties.end();
      const SchemaNode* schema = listed ? property->second : node.additional;
      if (schema == nullptr) continue;
      if (!listed && schema->always && !*schema->always) {
        fail(fmt::format("'{}' is not a known property", Printable(name, 60)));
        continue;
      }
      const std::string shown = Printable(name, 60);
      fits = Check(*schema, member, path.empty() ? shown : path + "." + shown, found) && fits;
    }
    return fits;
  }

  template <typename Fail>
  bool Array(const SchemaNode& node, const Json& value, const std::string& path, Violations* found,
             const Fail& fail) {
    bool fits = true;
    if (node.min_items && value.size() < *node.min_items) {
      fail(fmt::format("must have at least {} items, got {}", *node.min_items, value.size()));
    }
    if (node.max_items && value.size() > *node.max_items) {
      fail(fmt::format("must have at most {} items, got {}", *node.max_items, value.size()));
      return false;
    }
    if (node.unique_items && !Unique(value)) fail("must not have two equal items");
    if (node.items == nullptr) return fits;
    for (std::size_t i = 0; i < value.size(); ++i) {
      fits = Check(*node.items, value[i], fmt::format("{}[{}]", path, i), found) && fits;
      if (exhausted_) return false;
    }
    return fits;
  }

  bool Unique(const Json& value) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (!Spend(i)) return false;
      for (std::size_t j = 0; j < i; ++j) {
        if (value[i] == value[j]) return false;
      }
    }
    return true;
  }

  template <typename Fail>
  void String(const SchemaNode& node, const std::string& value, const Fail& fail) {
    if (node.min_length || node.max_length) {
      const std::size_t length = CodePoints(value);
      if (node.min_length && length < *node.min_length) {
        fail(*node.min_length == 1 ? std::string("must not be empty")
                                   : fmt::format("must have at least {} characters, got {}",
                                                 *node.min_length, length));
      }
      if (node.max_length && length > *node.max_length) {
        fail(fmt::format("must have at most {} characters, got {}", *node.max_length, length));
        return;
      }
    }
    if (!node.pattern) return;
    if (value.size() > kMaxPatternInput || !Spend(value.size()) ||
        !std::regex_search(ToCodePoints(value), *node.pattern)) {
      fail(fmt::format("must match {}, got {}", node.pattern_text, Show(value)));
    }
  }

  template <typename Fail>
  void Number(const SchemaNode& node, const Json& value, const Fail& fail) {
    const auto bound = [&](const std::optional<Json>& limit, auto holds, std::string_view sign) {
      if (limit && !holds(value, *limit)) {
        fail(fmt::format("must be {} {}, got {}", sign, Show(*limit), Show(value)));
      }
    };
    bound(
        node.minimum, [](auto& a, auto& b) { return a >= b; }, ">=");
    bound(
        node.maximum, [](auto& a, auto& b) { return a <= b; }, "<=");
    bound(
        node.exclusive_minimum, [](auto& a, auto& b) { return a > b; }, ">");
    bound(
        node.exclusive_maximum, [](auto& a, auto& b) { return a < b; }, "<");
  }

  template <typename Fail>
  bool Combined(const SchemaNode& node, const Json& value, const std::string& path,
                Violations* found, const Fail& fail) {
    bool fits = true;
    if (node.reference != nullptr) fits = Check(*node.reference, value, path, found) && fits;
    for (const SchemaNode* each : node.all_of) fits = Check(*each, value, path, found) && fits;
    if (node.any_of && Count(*node.any_of, value, 1) == 0) {
      fits = FitsNone(*node.any_of, value, path, found, fail);
    }
    if (node.one_of) {
      const int count = Count(*node.one_of, value, 2);
      if (count == 0) fits = FitsNone(*node.one_of, value, path, found, fail);
      if (count > 1) fail("fits more than one of the alternatives");
    }
    if (node.negated != nullptr && Check(*node.negated, value, path, nullptr)) {
      fail("is what it must not be");
    }
    if (node.condition != nullptr) {
      const SchemaNode* then =
          Check(*node.condition, value, path, nullptr) ? node.consequence : node.alternative;
      if (then != nullptr) fits = Check(*then, value, path, found) && fits;
    }
    return fits;
  }

  // Reports why, of the alternative that was meant: the only one of the value's type. Always false.
  template <typename Fail>
  bool FitsNone(const std::vector<const SchemaNode*>& schemas, const Json& value,
                const std::string& path, Violations* found, const Fail& fail) {
    std::vector<std::string> types;
    std::vector<const SchemaNode*> meant;
    bool all_typed = true;
    for (const SchemaNode* schema : schemas) {
      all_typed = all_typed && !schema->types.empty();
      types.insert(types.end(), schema->types.begin(), schema->types.end());
      if (std::any_of(schema->types.begin(), schema->types.end(),
                      [&](auto& type) { return HasType(value, type); })) {
        meant.push_back(schema);
      }
    }
    if (all_typed && meant.size() == 1) return Check(*meant[0], value, path, found) && false;
    if (all_typed && meant.empty()) {
      fail(WrongType(types, value));
    } else {
      fail("fits none of the alternatives");
    }
    return false;
  }

  int Count(const std::vector<const SchemaNode*>& schemas, const Json& value, int enough) {
    int count = 0;
    for (const SchemaNode* schema : schemas) {
      if (Check(*schema, value, "", nullptr) && ++count == enough) break;
    }
    return count;
  }

  std::size_t spent_ = 0;
  int depth_ = 0;
  bool exhausted_ = false;
};

}  // namespace

std::wstring ToCodePoints(std::string_view text) {
  std::wstring points;
  std::uint32_t point = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) == 0x80 && !points.empty()) {
      point = point << 6 | (byte & 0x3fU);
      points.back() = static_cast<wchar_t>(point);
    } else {
      point = byte & (byte < 0x80 ? 0x7fU : byte < 0xe0 ? 0x1fU : byte < 0xf0 ? 0x0fU : 0x07U);
      points += static_cast<wchar_t>(point);
    }
  }
  return points;
}

std::string Violation::Text() const { return path.empty() ? reason : path + ": " + reason; }

std::vector<Violation> Schema::Validate(const Json& value) const {
  return Validator().Run(*compiled_->root, value);
}

std::string ViolationsText(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& violation : violations) {
    if (!text.empty()) text += "; ";
    text += violation.Text();
  }
  return text;
}

}  // namespace pyro::mcp
