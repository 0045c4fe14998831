#!/usr/bin/env bash
# Expected: mkfs.erofs stores each name that the file system beneath has: EROFS and ext4 both allow 255 bytes.
# Seen: a name of 254 bytes is stored. One of 255 bytes, of a file as of a directory, ends mkfs.erofs with "No such file or directory",
#       and no word says which file. So pyro looks for such a name itself when mkfs.erofs fails, and names its directory.
# Versions: erofs-utils 1.5.
# Source: the kernel's fs/erofs/erofs_fs.h, "EROFS_NAME_LEN 255".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(erofs-utils=1.5-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
dpkg -x ./*.deb root
root/usr/bin/mkfs.erofs --version 2>&1 | sed -n 1p || true
name() { printf 'n%.0s' $(seq "$1"); }
seen=()
for kind in file directory; do
  for length in 254 255; do
    rm -rf tree
    mkdir tree
    if [[ $kind == file ]]; then touch "tree/$(name $length)"; else mkdir "tree/$(name $length)"; fi
    status=0
    root/usr/bin/mkfs.erofs image tree > output 2>&1 || status=$?
    printf '%s, %s bytes: exit status %s%s\n' $kind $length $status "$(grep -o ': \[Error.*' output || true)"
    seen+=("$status")
  done
done
[[ ${seen[*]} == '0 1 0 1' ]] && grep -q 'No such file or directory' output
