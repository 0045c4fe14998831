#!/usr/bin/env bash
# Expected: an option of type int takes decimal numbers, so that --day 08 is 8 and --mode 010 is ten or refused. An unsigned
#           option refuses -1.
# Seen: 07 is 7, 08 is refused, 010 is 8. uint64_t takes -1 as 18446744073709551615, while unsigned and uint16_t refuse it.
# Versions: CLI11 2.1.2.
# Source: CLI/TypeTools.hpp, integral_conversion(): strtoll() and strtoull() with base 0. strtoull() negates, and the comparison
#         with the narrower type catches that for narrower types only.
# For pyro: CLI11 passes numbers on as text, and src/front/cli/values.cc reads them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libcli11-dev=2.1.2+ds-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
cat > t.cc <<'CC'
#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
template <class T>
void Try(const char* type, const char* word) {
  CLI::App app;
  T value{};
  app.add_option("--n", value);
  const char* argv[] = {"t", "--n", word};
  try {
    app.parse(3, argv);
    std::cout << type << ' ' << word << ": " << value << '\n';
  } catch (const CLI::Error&) {
    std::cout << type << ' ' << word << ": refused\n";
  }
}
int main() {
  std::cout << "CLI11 " << CLI11_VERSION << '\n';
  for (const char* word : {"07", "08", "010"}) Try<int>("int", word);
  Try<std::uint16_t>("uint16_t", "-1");
  Try<unsigned>("unsigned", "-1");
  Try<std::uint64_t>("uint64_t", "-1");
}
CC
c++ -std=c++17 -Iroot/usr/include t.cc -o t
./t | tee seen
diff seen - <<'SEEN'
CLI11 2.1.2
int 07: 7
int 08: refused
int 010: 8
uint16_t -1: refused
unsigned -1: refused
uint64_t -1: 18446744073709551615
SEEN
