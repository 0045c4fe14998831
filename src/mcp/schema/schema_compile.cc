#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "mcp/schema/schema.h"
#include "mcp/schema/schema_node.h"

namespace pyro::mcp {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"null",   "boolean", "object", "array",
                                                    "number", "integer", "string"};
constexpr std::array<std::string_view, 10> kDescriptive = {
    "title",   "description", "default",  "examples",  "format",
    "$schema", "deprecated",  "readOnly", "writeOnly", "x-mcp-header"};
constexpr int kMaxSchemaDepth = 64;

// Turns JSON into nodes. A schema is known by its JSON pointer, so that a $ref, also one to a
// schema that is just being compiled, finds its node.
class Compiler {
 public:
  Compiler(const Json& source, std::deque<SchemaNode>& nodes) : source_(source), nodes_(nodes) {}

  Result<const SchemaNode*> At(const Json::json_pointer& pointer) {
    const std::string key = pointer.to_string();
    if (const auto it = known_.find(key); it != known_.end()) return it->second;
    if (!source_.contains(pointer)) return Bad(key, "there is no such schema");
    if (++depth_ > kMaxSchemaDepth) return Bad(key, "nested too deeply");
    SchemaNode& node = nodes_.emplace_back();
    known_.emplace(key, &node);
    const Json& schema = source_[pointer];
    if (schema.is_boolean()) {
      node.always = schema.get<bool>();
    } else if (schema.is_object()) {
      for (const auto& [keyword, value] : schema.items()) {
        PYRO_RETURN_IF_ERROR(Keyword(node, pointer, keyword, value));
      }
    } else {
      return Bad(key, "a schema is an object or a boolean");
    }
    --depth_;
    return &node;
  }

 private:
  static Error Bad(std::string_view where, std::string_view why) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("schema at '{}': {}", where.empty() ? "/" : where, why));
  }

  Status Keyword(SchemaNode& node, const Json::json_pointer& at, const std::string& keyword,
                 const Json& value) {
    if (std::find(kDescriptive.begin(), kDescriptive.end(), keyword) != kDescriptive.end()) {
      return OkStatus();
    }
    const Json::json_pointer here = at / keyword;
    if (keyword == "type") return Types(node, here, value);
    if (keyword == "const") {
      node.constant = value;
      return OkStatus();
    }
    if (keyword == "pattern") return Pattern(node, here, value);
    if (keyword == "$ref") return Reference(node, here, value);
    if (keyword == "uniqueItems") {
      if (!value.is_boolean()) return Bad(here.to_string(), "not a boolean");
      node.unique_items = value.get<bool>();
      return OkStatus();
    }
    if (keyword == "enum") {
      if (!value.is_array()) return Bad(here.to_string(), "not an array");
      node.choices.emplace(value.begin(), value.end());
      return OkStatus();
    }
    if (keyword == "required") return Required(node, here, value);
    if (keyword == "properties" || keyword == "$defs") return Named(node, here, keyword, value);
    if (auto* count = CountOf(node, keyword)) {
      if (!value.is_number_unsigned()) return Bad(here.to_string(), "not a whole number >= 0");
      *count = value.get<std::uint64_t>();
      return OkStatus();
    }
    if (auto* bound = BoundOf(node, keyword)) {
      if (!value.is_number()) return Bad(here.to_string(), "not a number");
      *bound = value;
      return OkStatus();
    }
    if (auto* child = ChildOf(node, keyword)) {
      PYRO_ASSIGN_OR_RETURN(*child, At(here));
      return OkStatus();
    }
    return Several(node, here, keyword, value);
  }

  Status Types(SchemaNode& node, const Json::json_pointer& here, const Json& value) {
    const Json list = value.is_array() ? value : Json::array({value});
    for (const Json& type : list) {
      if (!type.is_string() || std::find(kTypes.begin(), kTypes.end(),
                                         type.get_ref<const std::string&>()) == kTypes.end()) {
        return Bad(here.to_string(), "no such type");
      }
      node.types.push_back(type.get<std::string>());
    }
    if (node.types.empty()) return Bad(here.to_string(), "empty");
    return OkStatus();
  }

  Status Pattern(SchemaNode& node, const Json::json_pointer& here, const Json& value) {
    if (!value.is_string()) return Bad(here.to_string(), "not a string");
    node.pattern_text = value.get<std::string>();
    // libstdc++'s second executor: time linear in the text, no backtracking, no back references.
    try {
      node.pattern.emplace(ToCodePoints(node.pattern_text),
                           std::wregex::ECMAScript | std::regex_constants::__polynomial);
    } catch (const std::regex_error&) {
      return Bad(here.to_string(), "no regular expression without back references");
    }
    return OkStatus();
  }

  Status Reference(SchemaNode& node, const Json::json_pointer& here, const Json& value) {
    const std::string text = value.is_string() ? value.get<std::string>() : std::string();
    if (text.empty() || text.front() != '#' || text.find('%') != std::string::npos ||
        (text.size() > 1 && text[1] != '/')) {
      return Bad(here.to_string(), "only references like #/$defs/name are known");
    }
    // The library throws for an unknown escape.
    for (std::size_t i = text.find('~'); i != std::string::npos; i = text.find('~', i + 1)) {
      if (i + 1 >= text.size() || (text[i + 1] != '0' && text[i + 1] != '1')) {
        return Bad(here.to_string(), "not a JSON pointer");
      }
    }
    const Json::json_pointer target(text.substr(1));
    if (!Exists(target)) return Bad(here.to_string(), "refers to nothing");
    PYRO_ASSIGN_OR_RETURN(node.reference, At(target));
    return OkStatus();
  }

  // contains() throws for array indices that are no numbers.
  bool Exists(Json::json_pointer pointer) const {
    std::vector<std::string> steps;
    while (!pointer.empty()) {
      steps.push_back(pointer.back());
      pointer.pop_back();
    }
    const Json* at = &source_;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      if (at->is_object()) {
        const auto it = at->find(*step);
        if (it == at->end()) return false;
        at = &*it;
      } else if (at->is_array()) {
        const auto index = ParseInt(*step);
        if (!index || *index < 0 || static_cast<std::size_t>(*index) >= at->size() ||
            std::to_string(*index) != *step) {
          return false;
        }
        at = &(*at)[static_cast<std::size_t>(*index)];
      } else {
        return false;
      }
    }
    return true;
  }

  Status Required(SchemaNode& node, const Json::json_pointer& here, const Json& value) {
    if (!value.is_array()) return Bad(here.to_string(), "not an array");
    for (const Json& name : value) {
      if (!name.is_string()) return Bad(here.to_string(), "not an array of strings");
      node.required.push_back(name.get<std::string>());
    }
    return OkStatus();
  }

  Status Named(SchemaNode& node, const Json::json_pointer& here, const std::string& keyword,
               const Json& value) {
    if (!value.is_object()) return Bad(here.to_string(), "not an object");
    for (const auto& entry : value.items()) {
      PYRO_ASSIGN_OR_RETURN(const SchemaNode* child, At(here / entry.key()));
      if (keyword == "properties") node.properties.emplace(entry.key(), child);
    }
    return OkStatus();
  }

  Status Several(SchemaNode& node, const Json::json_pointer& here, const std::string& keyword,
                 const Json& value) {
    if (keyword != "anyOf" && keyword != "oneOf" && keyword != "allOf") {
      return Bad(here.to_string(), "this keyword is not known");
    }
    if (!value.is_array() || value.empty()) return Bad(here.to_string(), "not a filled array");
    std::vector<const SchemaNode*> children;
    for (std::size_t i = 0; i < value.size(); ++i) {
      PYRO_ASSIGN_OR_RETURN(const SchemaNode* child, At(here / i));
      children.push_back(child);
    }
    if (keyword == "anyOf")
      node.any_of = std::move(children);
    else if (keyword == "oneOf")
      node.one_of = std::move(children);
    else
      node.all_of = std::move(children);
    return OkStatus();
  }

  static std::optional<std::uint64_t>* CountOf(SchemaNode& node, const std::string& keyword) {
    if (keyword == "minProperties") return &node.min_properties;
    if (keyword == "maxProperties") return &node.max_properties;
    if (keyword == "minItems") return &node.min_items;
    if (keyword == "maxItems") return &node.max_items;
    if (keyword == "minLength") return &node.min_length;
    if (keyword == "maxLength") return &node.max_length;
    return nullptr;
  }

  static std::optional<Json>* BoundOf(SchemaNode& node, const std::string& keyword) {
    if (keyword == "minimum") return &node.minimum;
    if (keyword == "maximum") return &node.maximum;
    if (keyword == "exclusiveMinimum") return &node.exclusive_minimum;
    if (keyword == "exclusiveMaximum") return &node.exclusive_maximum;
    return nullptr;
  }

  static const SchemaNode** ChildOf(SchemaNode& node, const std::string& keyword) {
    if (keyword == "additionalProperties") return &node.additional;
    if (keyword == "items") return &node.items;
    if (keyword == "not") return &node.negated;
    if (keyword == "if") return &node.condition;
    if (keyword == "then") return &node.consequence;
    if (keyword == "else") return &node.alternative;
    return nullptr;
  }

  const Json& source_;
  std::deque<SchemaNode>& nodes_;
  std::map<std::string, const SchemaNode*> known_;
  int depth_ = 0;
};

}  // namespace

Result<Schema> Schema::Compile(Json schema) {
  auto compiled = std::make_shared<Compiled>();
  compiled->source = std::move(schema);
  Compiler compiler(compiled->source, compiled->nodes);
  PYRO_ASSIGN_OR_RETURN(compiled->root, compiler.At(Json::json_pointer()));
  return Schema(std::move(compiled));
}

}  // namespace pyro::mcp
