#!/usr/bin/env bash
# Expected: set(files "a[1" "b" "c]") makes a list of three items.
# Seen: it has one. A ";" within square brackets does not separate, although quotes ended each item. With "[" alone, everything
#       that follows is one item.
# Versions: CMake 3.25.1.
# Source: cmake-language(7), "Lists", has a sentence on it. Names of files reach it unseen, by file(GLOB) or ${ARGN}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(cmake=3.25.1-1 cmake-data=3.25.1-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
touch 'a[1.txt' b.txt 'c].txt' d.txt
cat > lists.cmake <<'CMAKE'
set(files "a[1" "b" "c]")
list(LENGTH files length)
file(GLOB found RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.txt)
list(LENGTH found files_found)
message("CMake ${CMAKE_VERSION}: ${length} of 3 items, ${files_found} of 4 files")
CMAKE
seen=$(root/usr/bin/cmake -P lists.cmake 2>&1)
echo "$seen"
[[ $seen == *"1 of 3 items, 2 of 4 files" ]]
