#!/usr/bin/env bash
# Expected: "tar -cf a.tar *" archives each file and directory, of any name.
# Seen: bsdtar reads @types, a directory that most JavaScript projects have, as "the members of the archive called types".
#       It leaves the directory out, archives the rest, and exits with 1. If there is an archive of that name, it takes its members.
# Versions: libarchive 3.6.2 (bsdtar), GNU tar 1.34.
# Source: bsdtar(1), "@archive". "--" does not end it; ./@types does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libarchive-tools=3.6.2-1+deb12u5)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
bsdtar=$work/root/usr/bin/bsdtar
mkdir -p in/@types
touch in/@types/index.d.ts in/left-pad
cd in
tar -cf ../gnu.tar -- *
status=0
"$bsdtar" -cf ../libarchive.tar -- * 2> ../error || status=$?
cd ..
printf '%s: %s\n' "$(tar --version | sed -n 1p)" "$(tar -tf gnu.tar | tr '\n' ' ')"
printf '%s: %s, exit status %s\n' "$("$bsdtar" --version | cut -d' ' -f1-4)" "$(tar -tf libarchive.tar)" "$status"
head -n 1 error
[[ $(tar -tf gnu.tar | wc -l) == 3 && $(tar -tf libarchive.tar) == left-pad && $status == 1 ]]
