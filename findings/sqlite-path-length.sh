#!/usr/bin/env bash
# Expected: SQLite opens each path that the system opens: on Linux up to 4,095 bytes.
# Seen: it opens a database at a path of 504 bytes, and none at 505. The error names neither the length nor the limit. A short
#       relative name does not help, because SQLite makes it absolute first.
# Versions: SQLite 3.40.1.
# Source: src/os_unix.c: MAX_PATHNAME is 512. src/pager.c, sqlite3PagerOpen(): 8 bytes are kept for "-journal".
# For pyro: registry.db lies in the state directory. pyro refuses a state directory that is too long, and says its length.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(sqlite3=3.40.1-2+deb12u2 libsqlite3-0=3.40.1-2+deb12u2)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
sqlite() { LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu "$work/root/usr/bin/sqlite3" -batch "$@" 2>&1 || true; }

echo "SQLite $(sqlite --version | cut -d' ' -f1)"
# A directory whose path, with the name of the database, has as many bytes as the argument says.
directory() {
  local path=$work rest
  while rest=$(($1 - 5 - ${#path})) && ((rest > 200)); do path+=/$(printf 'd%.0s' {1..99}); done
  path+=/$(printf "%$((rest - 1))s" "" | tr ' ' d)
  mkdir -p "$path" && printf '%s' "$path"
}
for length in 504 505; do
  path=$(directory "$length")/x.db
  touch "$path.txt"
  answer=$(sqlite "$path" 'CREATE TABLE t (x); SELECT 1')
  printf '%s bytes: %s\n' "${#path}" "${answer##*: }"
  results+=("$answer")
done
cd "$(dirname "$path")"
relative=$(sqlite y.db 'CREATE TABLE t (x); SELECT 1')
printf 'y.db there: %s\n' "${relative##*: }"
[[ ${results[0]} == 1 && ${results[1]} == *"unable to open database"* && $relative == *"unable to open database"* ]]
