#!/usr/bin/env bash
# Runs a compiler; beside a precompiled header that it makes, writes a checksum of what the header holds.
# Clang writes the paths of a build into the header itself. ccache compares this checksum instead, so that another clone of the
# same sources gets its objects from the cache (CCACHE_PCH_EXTSUM).
set -euo pipefail
"$@"
text=()
while [ $# -gt 0 ]; do
  case $1 in
    -o) out=$2; shift ;;
    -MF|-MT) shift ;;
    -M*|-c) ;;
    -emit-pch) unset 'text[-1]' ;;
    *) text+=("$1") ;;
  esac
  shift
done
case ${out-} in
  *.pch|*.gch) { printf '%s\n' "$("${text[0]}" --version)"; "${text[@]}" -E -P; } | sha256sum > "$out.sum" ;;
esac
