// A compiled schema; for schema.cc and schema_compile.cc.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "mcp/schema/schema.h"

namespace pyro::mcp {

// One (sub)schema. Pointers are into Schema::Compiled::nodes; null: the keyword is absent.
struct SchemaNode {
  std::optional<bool> always;  // A boolean schema.

  std::vector<std::string> types;
  std::optional<Json> constant;
  std::optional<std::vector<Json>> choices;

  std::map<std::string, const SchemaNode*> properties;
  std::vector<std::string> required;
  const SchemaNode* additional = nullptr;
  std::optional<std::uint64_t> min_properties, max_properties;

  const SchemaNode* items = nullptr;
  std::optional<std::uint64_t> min_items, max_items;
  bool unique_items = false;

  std::optional<std::uint64_t> min_length, max_length;  // Code points.
  std::optional<std::wregex> pattern;                   // Over code points.
  std::string pattern_text;

  std::optional<Json> minimum, maximum, exclusive_minimum, exclusive_maximum;

  std::optional<std::vector<const SchemaNode*>> any_of, one_of;
  std::vector<const SchemaNode*> all_of;
  const SchemaNode* negated = nullptr;
  const SchemaNode* condition = nullptr;
  const SchemaNode* consequence = nullptr;
  const SchemaNode* alternative = nullptr;
  const SchemaNode* reference = nullptr;
};

// `text` is UTF-8.
std::wstring ToCodePoints(std::string_view text);

struct Schema::Compiled {
  Json source;
  std::deque<SchemaNode> nodes;
  const SchemaNode* root = nullptr;
};

}  // namespace pyro::mcp
