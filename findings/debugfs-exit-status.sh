#!/usr/bin/env bash
# Expected: debugfs -w -R 'write file name' exits with another status than 0 if the file was not written.
# Seen: the status is 0 if a command fails, and if the image does not exist. Only stderr tells. With -f, debugfs goes on after a
#       command that failed. The status is 1 if there is no command of that name.
# Versions: e2fsprogs 1.47.0.
# Source: debugfs/debugfs.c: the functions of commands return nothing, so that main() learns only whether the command exists.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu MKE2FS_CONFIG=root/etc/mke2fs.conf
root/sbin/mke2fs -q -t ext4 image 8M > log
root/sbin/debugfs -V 2>&1 | sed -n 1p
seen=
attempt() {
  local status=0
  root/sbin/debugfs -w "${@:2}" "$1" > out 2> error || status=$?
  printf 'debugfs -w %s "%s" %s: exit status %s, %s\n' "$2" "$3" "$1" "$status" "$(tail -n 1 error)"
  seen+=$status
}
printf 'write absent name\nstat /absent\n' > commands
attempt image -R 'write absent name'
attempt image -R 'stat /absent'
attempt no-image -R 'stat /'
attempt image -R 'wriet commands name'
attempt image -f commands
[[ $seen == 00010 ]]
