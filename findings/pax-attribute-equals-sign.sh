#!/usr/bin/env bash
# Expected: an attribute whose name holds an equals sign either cannot be in a pax archive, since "=" ends a record's keyword, or comes back
#           from each tar that keeps attributes as it was.
# Seen: both write the name as user.a%3Db in a SCHILY.xattr record. GNU tar turns it back. bsdtar turns it back only in a second record of its
#       own, LIBARCHIVE.xattr, and takes the other as it stands: of GNU tar's archive it restores an attribute with the name "user.a%3Db",
#       of its own one with each name. So what writes such records must leave such an attribute out, and say so.
# Versions: bsdtar and libarchive 3.6.2, GNU tar 1.34.
# Source: POSIX, pax, "pax Extended Header": the keyword may not include an equals sign; the SCHILY.xattr prefix is star's, and does not say more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(libarchive-tools=3.6.2-1+deb12u5 libarchive13=3.6.2-1+deb12u5 tar=1.34+dfsg-1.2+deb12u1 attr=1:2.5.1-4)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
bsd() { LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu root/usr/bin/bsdtar "$@"; }
gnu() { root/bin/tar "$@"; }
names() { root/usr/bin/attr -lq "$1" | sort | tr '\n' ' '; }
bsd --version
gnu --version | sed -n 1p
mkdir tree
echo text > tree/file
root/usr/bin/setfattr -n 'user.a=b' -v value tree/file || { echo "the file system keeps no attributes" >&2; exit 2; }
printf 'file: %s\n' "$(names tree/file)"
declare -A after
for writer in bsd gnu; do
  $writer --format pax --xattrs -cf "$writer.tar" -C tree file
  printf '%s writes %s\n' $writer "$(grep -ao '[A-Z]*[.]xattr[.]user[^v]*' "$writer.tar" | tr '\n' ' ')"
  for reader in bsd gnu; do
    mkdir "$writer-$reader"
    $reader --xattrs -xf "$writer.tar" -C "$writer-$reader"
    after[$writer-$reader]=$(names "$writer-$reader/file")
    printf '%s restores %s\n' $reader "${after[$writer-$reader]}"
  done
done
[[ ${after[gnu-gnu]} == 'a=b ' && ${after[gnu-bsd]} == 'a%3Db ' && ${after[bsd-bsd]} == 'a%3Db a=b ' && ${after[bsd-gnu]} == 'a=b ' ]]
