#!/usr/bin/env bash
# Expected: mke2fs -d copies a directory into a new ext4 file system with its times and modes. ext4 holds times from 1901 to 2446,
#           in nanoseconds.
# Seen: a file of 2100 is one of 1963, each time loses its fraction of a second, and the root directory has mode 0755, not that of
#       the directory. There is no warning, and the exit status is 0.
# Versions: e2fsprogs 1.47.0.
# Source: misc/create_inode.c, set_inode_extra(): st_mtime goes into 32 bits, and i_mtime_extra stays 0. __populate_fs() visits the
#         entries of the directory, not the directory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu MKE2FS_CONFIG=root/etc/mke2fs.conf TZ=UTC
mkdir -m 0700 in
touch -d '2100-01-02 03:04:05.5' in/late
touch -d '2020-01-02 03:04:05.5' in/fraction
root/sbin/mke2fs -V 2>&1 | head -n 1
root/sbin/mke2fs -q -t ext4 -I 256 -d in image 8M > log 2> error
show() { root/sbin/debugfs -R "stat $1" image 2> /dev/null; }
late=$(show /late | grep mtime)
fraction=$(show /fraction | grep mtime)
mode=$(show / | grep -o 'Mode: *[0-7]*')
stat -c '%n: %y, %a' in in/late in/fraction
printf 'late:%s\nfraction:%s\n/: %s\nwarnings: "%s"\n' "$late" "$fraction" "$mode" "$(cat error)"
[[ $late == *1963* && $fraction == *:00000000\ --*2020* && $mode == *0755 ]]
