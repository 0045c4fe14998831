#!/usr/bin/env bash
# Expected: the error for words that fit no option lists them as they were typed.
# Seen: it lists them in reverse. App::remaining() has them in order.
# Versions: CLI11 2.1.2.
# Source: CLI/Error.hpp, ExtrasError(): it joins the words with detail::rjoin(), from the last to the first.
# For pyro: src/front/cli/usage.cc words the error itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libcli11-dev=2.1.2+ds-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
cat > t.cc <<'CC'
#include <CLI/CLI.hpp>
#include <iostream>
int main() {
  CLI::App app;
  const char* argv[] = {"t", "one", "two", "three"};
  try {
    app.parse(4, argv);
  } catch (const CLI::ExtrasError& error) {
    std::cout << "CLI11 " << CLI11_VERSION << ": " << error.what() << '\n';
  }
  for (const std::string& word : app.remaining()) std::cout << word << ' ';
  std::cout << '\n';
}
CC
c++ -std=c++17 -Iroot/usr/include t.cc -o t
seen=$(./t)
echo "$seen"
[[ $seen == "CLI11 2.1.2: The following arguments were not expected: three two one"$'\n'"one two three "* ]]
