// JSON Schema 2020-12, as far as tools need it: the keywords below, and no other.
//
//   type enum const properties required additionalProperties items minProperties maxProperties
//   minItems maxItems uniqueItems minLength maxLength minimum maximum exclusiveMinimum
//   exclusiveMaximum pattern anyOf oneOf allOf not if then else $ref (local) $defs
//
// and those that only describe: title, description, default, examples, format, $schema,
// deprecated, readOnly, writeOnly, x-mcp-header. A schema with another keyword is refused, so that
// none is silently ignored.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "pyro/result.h"

namespace pyro::mcp {

// A violation and its place: "arguments.size: must be <= 600, got 6000".
struct Violation {
  std::string path;    // Like a.b[2]; empty: the value itself.
  std::string reason;  // A short clause.

  std::string Text() const;
};

// Immutable, and so thread-safe.
class Schema {
 public:
  // kInvalidArgument: a keyword that is not known or of the wrong form, a $ref to nowhere, a
  // pattern that is no linear-time regular expression, or nesting beyond kMaxNesting.
  static Result<Schema> Compile(Json schema);

  // Empty: it fits. At most kMaxViolations. Bounded in time for any value: beyond a number of steps
  // the value counts as not fitting.
  std::vector<Violation> Validate(const Json& value) const;

 private:
  struct Compiled;
  explicit Schema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

inline constexpr std::size_t kMaxViolations = 8;
// Longer strings do not fit a pattern.
inline constexpr std::size_t kMaxPatternInput = 2048;

std::string ViolationsText(const std::vector<Violation>& violations);

}  // namespace pyro::mcp
