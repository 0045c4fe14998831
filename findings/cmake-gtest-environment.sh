#!/usr/bin/env bash
# Expected: gtest_discover_tests(t PROPERTIES ENVIRONMENT "A=1;B=2" LABELS "unit") gives each test both variables and the label,
#           as set_tests_properties() does with the same words.
# Seen: the test gets A alone, and no label. Nothing warns: "B=2" has become the name of a property, and "LABELS" its value.
# Versions: CMake 3.25.1.
# Source: Modules/GoogleTestAddTests.cmake: a list among PROPERTIES falls apart, and each of its items is quoted by itself.
# For pyro: cmake/pyro.cmake sets the environment of such tests in a file of its own, by TEST_INCLUDE_FILES.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(cmake=3.25.1-1 cmake-data=3.25.1-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
bin=root/usr/bin
# What a program made with GoogleTest prints when CMake asks it for its tests.
cat > t.cc <<'CC'
#include <cstdio>
#include <cstdlib>
int main(int argc, char**) {
  if (std::getenv("A") == nullptr) return std::puts("Suite.\n  Test") < 0;
  const char* b = std::getenv("B");
  std::printf("A=%s B=%s\n", std::getenv("A"), b == nullptr ? "(unset)" : b);
}
CC
cat > CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(finding LANGUAGES CXX)
enable_testing()
include(GoogleTest)
add_executable(t t.cc)
gtest_discover_tests(t PROPERTIES ENVIRONMENT "A=1;B=2" LABELS "unit")
add_test(NAME plain COMMAND t)
set_tests_properties(plain PROPERTIES ENVIRONMENT "A=1;B=2" LABELS "unit")
CMAKE
$bin/cmake --version | sed -n 1p
$bin/cmake -S . -B build > log && $bin/cmake --build build >> log
seen=$($bin/ctest --test-dir build -V -L unit 2> warnings | grep -E '^[0-9]+: A=|tests passed')
discovered=$($bin/ctest --test-dir build -V -R Suite 2>> warnings | grep '^[0-9]*: A=')
printf 'with the label:\n%s\ndiscovered: %s\nwarnings: "%s"\n' "$seen" "$discovered" "$(cat warnings)"
[[ $seen == *"A=1 B=2"*"out of 1"* && $discovered == *"A=1 B=(unset)" && ! -s warnings ]]
