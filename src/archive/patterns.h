// Patterns of names, as of `--exclude`.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::archive {

// A pattern without a slash matches an entry's own name, at any depth. One with a slash matches the
// whole path from the top; a slash at its beginning only says that. A slash at its end makes it
// match directories alone. `*` is any number of characters but no slash, `**` between slashes any
// number of directories, `?` one character, `[a-z]` one of these, `[!a-z]` one of the others, and
// `\` takes the next character as it is. A dot at the beginning of a name is nothing special.
class Patterns {
 public:
  static constexpr std::size_t kMaxPatterns = 1000;

  // kInvalidArgument names the pattern and says what is wrong with it.
  static Result<Patterns> Parse(const std::vector<std::string>& texts);

  bool empty() const { return patterns_.empty(); }

  // `name` is relative, without needless slashes and dots.
  enum class Kind { kDirectory, kOther };
  bool Match(std::string_view name, Kind kind) const;

  // The same, or a directory that holds it is matched.
  bool MatchWithParents(std::string_view name, Kind kind) const;

 private:
  struct Pattern {
    std::vector<std::string> parts;
    bool anchored = false;  // Matches the whole path.
    bool directory = false;
  };
  static Result<Pattern> ParseOne(const std::string& text);

  std::vector<Pattern> patterns_;
};

// One name against one part of a pattern that Parse() has taken.
bool MatchName(std::string_view pattern, std::string_view name);

}  // namespace pyro::archive
