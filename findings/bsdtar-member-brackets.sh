#!/usr/bin/env bash
# Expected: "tar -xf a.tar '[id].ts'" extracts the member of that name, with bsdtar as with GNU tar.
# Seen: bsdtar takes the name as a pattern. It extracts i.ts, which was not named, leaves [id].ts out, and exits with 0.
# Versions: libarchive 3.6.2 (bsdtar), GNU tar 1.34.
# Source: bsdtar(1), "pattern": members to extract or list are patterns. There is no switch for literal names; a backslash before
#         the bracket helps. Names to archive are literal, so that the same list of names works one way and not the other.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libarchive-tools=3.6.2-1+deb12u5)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
bsdtar=root/usr/bin/bsdtar
mkdir in gnu libarchive
touch 'in/[id].ts' in/i.ts
"$bsdtar" -C in -cf a.tar '[id].ts' i.ts
tar -C gnu -xf a.tar '[id].ts'
"$bsdtar" -C libarchive -xf a.tar '[id].ts'
status=$?
printf '%s: %s\n' "$(tar --version | sed -n 1p)" "$(ls gnu)"
printf '%s: %s, exit status %s\n' "$("$bsdtar" --version | cut -d' ' -f1-4)" "$(ls libarchive)" "$status"
[[ $(ls gnu) == '[id].ts' && $(ls libarchive) == i.ts && $status == 0 ]]
