// Files of ignore rules and names of any bytes: a rule is taken or left out, matching it ends soon,
// and a name with all that is special in it escaped is ignored by that rule.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/ignore.h"
#include "base/check.h"
#include "base/text.h"

using pyro::archive::IgnoreFile;
using pyro::archive::Ignores;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view name = all.substr(0, all.find('\n'));
  const std::string_view rules = all.substr(std::min(name.size() + 1, all.size()));

  for (const auto form : {IgnoreFile::Form::kGit, IgnoreFile::Form::kDocker}) {
    const IgnoreFile file = IgnoreFile::Parse(rules, form);
    const auto other = file.Find(name, false);
    PYRO_CHECK(file.takes_back() || other.value_or(true));
    // Without rules that take back, what is ignored of a file is ignored of a directory.
    PYRO_CHECK(file.takes_back() || !other || file.Find(name, true) == other);
  }
  Ignores ignores;
  ignores.AddGit("", rules);
  ignores.AddGit("a", rules);
  ignores.SetGitExclude(rules);
  ignores.SetDocker(rules);
  (void)ignores.Ask(name, true);
  PYRO_CHECK(ignores.Ask("a/.git", false) == Ignores::Answer::kYes);

  std::string escaped;
  bool plain = !name.empty() && name.size() < 500 && name.find('\0') == name.npos;
  for (const char byte : name) {
    if (std::string_view("*?[\\!# ").find(byte) != std::string_view::npos) escaped += '\\';
    escaped += byte;
  }
  for (const auto part : pyro::Split(name, '/')) {
    plain = plain && !part.empty() && part != "." && part != "..";
  }
  if (plain && !name.ends_with('\r')) {
    const auto itself = IgnoreFile::Parse("/" + escaped + "\n", IgnoreFile::Form::kGit);
    PYRO_CHECK(itself.Find(name, false) == true);
  }
  return 0;
}
