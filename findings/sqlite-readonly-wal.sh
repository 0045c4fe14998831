#!/usr/bin/env bash
# Expected: a connection that is opened read-only leaves the directory of the database as it was.
# Seen: if the database is in WAL mode, a read-only connection makes two files beside it and leaves both behind. The next connection
#       that may write removes them.
# Versions: SQLite 3.40.1.
# Source: https://sqlite.org/wal.html, "Read-Only Databases", has half of it: the files must exist or be creatable. src/wal.c,
#         sqlite3WalClose(): only a connection that can take an exclusive lock and write removes them.
# For pyro: a tool that only looks at a copy of registry.db changes the directory. Compare files by name, not by their number.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(sqlite3=3.40.1-2+deb12u2 libsqlite3-0=3.40.1-2+deb12u2)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
sqlite() { LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/sqlite3 -batch "$@"; }
listing() { (cd data && echo *); }

mkdir data
echo "SQLite $(sqlite --version | cut -d' ' -f1)"
sqlite data/a.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)' > mode
before=$(listing)
sqlite -readonly data/a.db 'SELECT x FROM t' > read
after=$(listing)
sqlite data/a.db 'SELECT x FROM t' > read
printf 'before: %s\nafter a read-only connection: %s\nafter another: %s\n' "$before" "$after" "$(listing)"
[[ $before == a.db && $after == "a.db a.db-shm a.db-wal" && $(listing) == a.db ]]
