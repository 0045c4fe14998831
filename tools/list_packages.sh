#!/bin/sh
# list_packages.sh [-r RELEASE] SECTION…: prints what tools/packages.txt lists for them. RELEASE is the code name of a system; if
# none is named, then it is this host's.
set -eu
list=$(dirname "$0")/packages.txt
release=
if [ "${1:-}" = -r ]; then
  release=$2
  shift 2
fi
# shellcheck source=/dev/null
[ -n "$release" ] || release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# A system that the list does not know gets the names of the last release there.
grep -q "^[a-z]*@$release: " "$list" || release=$(sed -n 's/^[a-z]*@\([a-z]*\): .*/\1/p' "$list" | tail -n 1)
for section in "$@"; do
  sed -n "s/^$section\(@$release\)\{0,1\}: //p" "$list"
done
