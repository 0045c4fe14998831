#!/bin/sh
# enough_disk.sh BUILD GIB: an error, if GIB do not fit on the disk together with what is in BUILD already.
set -eu
mkdir -p "$1"
has=$(du -sk "$1" | cut -f 1)
free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
needed=$(($2 * 1024 * 1024))
[ $((has + free)) -lt $needed ] || exit 0
echo "pyro: $(((needed - has) / 1024 / 1024 + 1)) GiB are needed here, and $((free / 1024 / 1024)) GiB are free: make room on the disk of $1" >&2
exit 1
