#!/usr/bin/env bash
# Expected: "fsck.erofs --extract --preserve" gives a program its setuid and setgid bits, and dump.erofs shows them.
# Seen: the image has the bits, and a mount would show them. fsck.erofs sets the mode first and the owner then, and the kernel takes
#       the bits away with the owner. Only "--preserve-perms --no-preserve-owner" keeps them. dump.erofs prints "Access: 0755" for
#       mode 4755, and 0777 for a directory of mode 1777.
# Versions: erofs-utils 1.5.
# Source: fsck.erofs --help: "--preserve: extract with the same ownership and permissions as on the filesystem".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(erofs-utils=1.5-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir in
touch in/setuid in/setgid in/plain
chmod 4755 in/setuid
chmod 2755 in/setgid
chmod 755 in/plain
mkdir in/sticky
chmod 1777 in/sticky
root/usr/bin/mkfs.erofs image in >/dev/null 2>&1
root/usr/bin/fsck.erofs --preserve --extract=both image >/dev/null 2>&1
root/usr/bin/fsck.erofs --preserve-perms --no-preserve-owner --extract=mode image >/dev/null 2>&1
root/usr/bin/fsck.erofs -V 2>/dev/null | sed -n 1p || true
seen=
for name in setuid setgid plain sticky; do
  shown=$(root/usr/bin/dump.erofs --path="/$name" image 2>/dev/null | sed -n 's/.*Access: \([0-9]*\).*/\1/p')
  printf '%s: packed %s, dump.erofs %s, extracted with --preserve %s, without the owner %s\n' "$name" "$(stat -c %04a "in/$name")" "$shown" \
    "$(stat -c %04a "both/$name")" "$(stat -c %04a "mode/$name")"
  seen+="$shown $(stat -c %04a "both/$name") $(stat -c %04a "mode/$name"), "
done
[[ $seen == "0755 0755 4755, 0755 0755 2755, 0755 0755 0755, 0777 1777 1777, " ]]
