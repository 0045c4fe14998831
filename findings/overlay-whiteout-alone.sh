#!/usr/bin/env bash
# Expected: in an overlay a whiteout (the character device 0:0) is never seen: neither by name nor in the list of its directory.
# Seen: if no other layer has the directory of the whiteout, the list shows it, and each look at it fails: `ls -l` ends with an error.
#       With the attribute overlay.origin on that directory, even an empty one, the list leaves it out.
#       A layer may well remove a file from a directory that it makes itself. So pyro marks each directory that has a whiteout.
# Versions: Linux 6.18; attr 2.5.1.
# Source: the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories": it promises that for merged directories alone.
set -euo pipefail
[[ $(id -u) == 0 ]] || { echo "only root can try this" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(attr=1:2.5.1-4)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
dpkg -x ./*.deb root
mkdir -p low upper/made merged
touch upper/made/file
mknod upper/made/gone c 0 0
listed() { unshare --mount sh -c 'mount -t overlay overlay -o ro,lowerdir=upper:low merged && ls merged/made' | paste -sd ' '; }
uname -r
without=$(listed)
printf 'without a mark: %s\n' "$without"
status=0
unshare --mount sh -c 'mount -t overlay overlay -o ro,lowerdir=upper:low merged && stat merged/made/gone' > /dev/null 2> error || status=$?
printf 'stat of it: exit status %s: %s\n' $status "$(grep -o 'No such.*' error)"
root/usr/bin/setfattr -n trusted.overlay.origin -v '' upper/made
with=$(listed)
printf 'with overlay.origin: %s\n' "$with"
[[ $without == 'file gone' && $status == 1 && $with == file ]]
