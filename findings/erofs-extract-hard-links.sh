#!/usr/bin/env bash
# Expected: fsck.erofs --extract restores a tree as mkfs.erofs took it, with hard links as hard links and holes as holes.
# Seen: the image has one inode with two names. The extracted tree has two files, and the hole has become blocks. Exit status 0.
# Versions: erofs-utils 1.5.
# Source: fsck/main.c of 1.5 extracts each name by itself and writes each byte; it keeps no table of inodes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(erofs-utils=1.5-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir in
echo content > in/a
ln in/a in/b
truncate -s 4M in/hole
root/usr/bin/mkfs.erofs image in > log 2>&1
head -n 1 log
inodes=$(for name in a b; do root/usr/bin/dump.erofs --path=/$name image | grep -o 'NID: [0-9]*'; done | sort -u | wc -l)
root/usr/bin/fsck.erofs --extract=out image > log
printf 'inodes of a and b in the image: %s\n' "$inodes"
printf 'links of a: %s in, %s out\n' "$(stat -c %h in/a)" "$(stat -c %h out/a)"
printf 'hole: %s blocks in, %s blocks out\n' "$(stat -c %b in/hole)" "$(stat -c %b out/hole)"
[[ $inodes == 1 && $(stat -c %h out/a) == 1 && $(stat -c %b in/hole) == 0 && $(stat -c %b out/hole) -gt 0 ]]
