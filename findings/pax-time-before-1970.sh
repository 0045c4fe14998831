#!/usr/bin/env bash
# Expected: a tar in pax format says the time of a file to the nanosecond, so what one tar writes of a file of 1969 the other restores.
# Seen: libarchive takes the record's sign for the whole seconds alone. It writes a second and a half before 1970 as -2.5, and reads -1.5 as half
#       a second. Its own archives come back whole; to and from GNU tar, and what keeps to POSIX, each such file moves by a second.
#       GNU tar's warning about such a time names a third one.
# Versions: bsdtar and libarchive 3.6.2, GNU tar 1.34.
# Source: POSIX, pax, "pax Extended Header File Times": a decimal number of seconds since the epoch, with a leading minus sign before it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libarchive-tools=3.6.2-1+deb12u5 libarchive13=3.6.2-1+deb12u5 tar=1.34+dfsg-1.2+deb12u1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
bsd() { LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/bin/bsdtar "$@"; }
gnu() { root/bin/tar "$@"; }
bsd --version
gnu --version | sed -n 1p
mkdir tree
touch -d '1969-12-31 23:59:58.5 UTC' tree/file
printf 'file: %s\n' "$(stat -c %.1Y tree/file)"
declare -A record time
for writer in bsd gnu; do
  $writer --format pax -cf "$writer.tar" -C tree file
  record[$writer]=$(grep -ao 'mtime=[-.0-9]*' "$writer.tar")
  printf '%s writes %s\n' $writer "${record[$writer]}"
  for reader in bsd gnu; do
    mkdir "$writer-$reader"
    $reader -xf "$writer.tar" -C "$writer-$reader"
    time[$writer-$reader]=$(stat -c %.1Y "$writer-$reader/file")
    printf '%s reads it as %s\n' $reader "${time[$writer-$reader]}"
  done
done 2>&1
[[ ${record[bsd]} == mtime=-2.5 && ${record[gnu]} == mtime=-1.5 ]]
[[ ${time[bsd-bsd]} == -1.5 && ${time[gnu-gnu]} == -1.5 && ${time[bsd-gnu]} == -2.5 && ${time[gnu-bsd]} == -0.5 ]]
