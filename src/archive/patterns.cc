#include "archive/patterns.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "archive/operation.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::archive {
namespace {

constexpr std::string_view kAnyDepth = "**";

// A character of UTF-8, or a byte that begins none.
std::string_view FirstCharacter(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
  const std::string_view character = text.substr(0, size);
  return character.size() == size && IsUtf8(character) ? character : text.substr(0, 1);
}

std::string_view TakeCharacter(std::string_view& text) {
  const std::string_view character = FirstCharacter(text);
  text.remove_prefix(character.size());
  return character;
}

// UTF-8 is in the order of its characters.
bool InRange(std::string_view low, std::string_view character, std::string_view high) {
  return low.size() <= character.size() && character.size() <= high.size() && low <= character &&
         character <= high;
}

// One character of a pattern's set; a backslash before it is dropped.
std::string_view TakeMember(std::string_view& pattern) {
  if (pattern.size() > 1 && pattern[0] == '\\') pattern.remove_prefix(1);
  return TakeCharacter(pattern);
}

// `pattern` is behind a '[', and then behind its ']', which is a member if it comes first. nullopt:
// there is no such end.
std::optional<bool> MatchSet(std::string_view& pattern, std::string_view character) {
  const bool negated = !pattern.empty() && (pattern[0] == '!' || pattern[0] == '^');
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  for (bool first = true; !pattern.empty() && (first || pattern[0] != ']'); first = false) {
    const std::string_view low = TakeMember(pattern);
    std::string_view high = low;
    if (pattern.size() > 1 && pattern[0] == '-' && pattern[1] != ']') {
      pattern.remove_prefix(1);
      high = TakeMember(pattern);
    }
    found = found || InRange(low, character, high);
  }
  if (pattern.empty()) return std::nullopt;
  pattern.remove_prefix(1);
  return found != negated;
}

// Takes one element of the pattern that is no '*'.
bool MatchOne(std::string_view& pattern, std::string_view character) {
  if (pattern[0] == '?') {
    pattern.remove_prefix(1);
    return true;
  }
  if (pattern[0] == '[') {
    pattern.remove_prefix(1);
    return MatchSet(pattern, character).value_or(false);
  }
  return TakeMember(pattern) == character;
}

bool MatchParts(const std::vector<std::string>& pattern,
                const std::vector<std::string_view>& name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t retry_p = pattern.size() + 1;  // Behind the last "**", from which to try again.
  std::size_t retry_n = 0;
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == kAnyDepth) {
      retry_p = ++p;
      retry_n = n;
      continue;
    }
    if (p < pattern.size() && n < name.size() && MatchName(pattern[p], name[n])) {
      ++p;
      ++n;
      continue;
    }
    if (retry_p > pattern.size() || retry_n >= name.size()) return false;
    p = retry_p;
    n = ++retry_n;
  }
  return true;
}

// Empty, or why the part of a pattern cannot be taken.
std::string_view WhatIsWrongWith(std::string_view part) {
  if (part == "..") return "leads out of the source by '..'";
  while (!part.empty()) {
    const char first = part[0];
    part.remove_prefix(1);
    if (first == '[' && !MatchSet(part, "x")) return "has a '[' without a ']'";
    if (first != '\\') continue;
    if (part.empty()) return "ends with a backslash";
    part.remove_prefix(1);
  }
  return {};
}

}  // namespace

bool MatchName(std::string_view pattern, std::string_view name) {
  std::string_view retry_pattern;
  std::string_view retry_name;
  bool star = false;  // One has come: what is behind it may be tried further on in the name.
  while (!name.empty() || !pattern.empty()) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      retry_pattern = pattern;
      retry_name = name;
      star = true;
      continue;
    }
    if (!pattern.empty() && !name.empty()) {
      std::string_view rest = name;
      if (MatchOne(pattern, TakeCharacter(rest))) {
        name = rest;
        continue;
      }
    }
    if (!star || retry_name.empty()) return false;
    TakeCharacter(retry_name);
    pattern = retry_pattern;
    name = retry_name;
  }
  return true;
}

Result<Patterns::Pattern> Patterns::ParseOne(const std::string& text) {
  const auto refuse = [&](std::string_view why, std::string hint = "") {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the pattern '{}' {}", Printable(text), why), std::move(hint));
  };
  if (text.empty()) return refuse("is empty");
  if (text.size() > kMaxNameBytes) return refuse("is too long");
  if (text.find('\0') != text.npos) return refuse("has a zero byte");
  if (text[0] == '!') {
    return refuse("begins with '!', which takes nothing back here",
                  "write \\! for a name that begins so");
  }
  std::string_view rest = text;
  Pattern pattern;
  pattern.directory = rest.ends_with('/');
  while (rest.ends_with('/')) rest.remove_suffix(1);
  pattern.anchored = rest.find('/') != rest.npos;
  for (const std::string_view part : Split(rest, '/')) {
    if (part.empty() || part == ".") continue;
    if (const std::string_view why = WhatIsWrongWith(part); !why.empty()) return refuse(why);
    pattern.parts.emplace_back(part);
  }
  if (pattern.parts.empty()) return refuse("names the whole source");
  return pattern;
}

Result<Patterns> Patterns::Parse(const std::vector<std::string>& texts) {
  if (texts.size() > kMaxPatterns) {
    return MakeError(ErrorCode::kLimit, fmt::format("more than {} patterns", kMaxPatterns));
  }
  Patterns patterns;
  for (const std::string& text : texts) {
    PYRO_ASSIGN_OR_RETURN(Pattern pattern, ParseOne(text));
    patterns.patterns_.push_back(std::move(pattern));
  }
  return patterns;
}

bool Patterns::Match(std::string_view name, Kind kind) const {
  if (patterns_.empty()) return false;
  const std::vector<std::string_view> parts = Split(name, '/');
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& pattern) {
    if (pattern.directory && kind != Kind::kDirectory) return false;
    if (!pattern.anchored) return MatchName(pattern.parts[0], parts.back());
    return MatchParts(pattern.parts, parts);
  });
}

bool Patterns::MatchWithParents(std::string_view name, Kind kind) const {
  if (patterns_.empty()) return false;
  for (auto slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
    if (Match(name.substr(0, slash), Kind::kDirectory)) return true;
  }
  return Match(name, kind);
}

}  // namespace pyro::archive
