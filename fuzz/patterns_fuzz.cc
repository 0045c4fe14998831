// Patterns and names of any bytes: a pattern is taken or refused, and matching it ends soon. Lists
// of alternates and the like, which a repository from anywhere holds, lead somewhere or nowhere.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/git_files.h"
#include "archive/patterns.h"
#include "base/check.h"
#include "base/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyro::archive::Patterns;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view text = all.substr(0, all.find('\n'));
  const std::string_view name = all.substr(std::min(text.size() + 1, all.size()));

  if (const auto patterns = Patterns::Parse({std::string(text)})) {
    for (const auto kind : {Patterns::Kind::kDirectory, Patterns::Kind::kOther}) {
      const bool match = patterns->Match(name, kind);
      PYRO_CHECK(!match || patterns->MatchWithParents(name, kind));
      // What matches anything but a directory matches a directory too.
      PYRO_CHECK(!match || patterns->Match(name, Patterns::Kind::kDirectory));
    }
  }
  // A name, with what is special in it taken as it is, matches itself.
  std::string literal;
  for (const char byte : name) {
    if (std::string_view("*?[\\!").find(byte) != std::string_view::npos) literal += '\\';
    literal += byte;
  }
  bool plain = !name.empty() && name.size() < 2000;
  for (const auto part : pyro::Split(name, '/')) {
    plain = plain && !part.empty() && part != "." && part != "..";
  }
  if (plain && name.find('\0') == std::string_view::npos) {
    const auto itself = Patterns::Parse({"/" + literal});
    PYRO_CHECK(itself.ok() && itself->Match(name, Patterns::Kind::kOther));
  }

  for (const char* where : {".git", "a/.git", ".git/objects/info/alternates"}) {
    for (const bool symlink : {false, true}) {
      const auto path = pyro::archive::GitPathOutside(where, all, symlink);
      PYRO_CHECK(!path || path->size() <= all.size());
    }
  }
  return 0;
}
