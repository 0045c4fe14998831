// URI templates as far as resources need them: {name} for characters other than '/', {+name} for
// any.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::mcp {

inline constexpr std::size_t kMaxUriBytes = 4096;

// A value.
class UriTemplate {
 public:
  // kInvalidArgument: braces that do not match, a name that is not valid or occurs twice, or two
  // adjacent variables.
  static Result<UriTemplate> Parse(std::string_view text);

  // Values percent-decoded. nullopt: the URI is not of this template, or is not valid itself. Time
  // is linear in the URI for each variable.
  std::optional<std::map<std::string, std::string>> Match(std::string_view uri) const;

  bool HasVariable(std::string_view name) const;

 private:
  struct Part {
    std::string literal;  // Before the variable.
    std::string name;     // Empty: the end.
    bool any = false;
  };
  bool MatchFrom(std::size_t part, std::string_view uri,
                 std::map<std::string, std::string>& values) const;

  std::vector<Part> parts_;
};

}  // namespace pyro::mcp
