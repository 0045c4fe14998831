#!/usr/bin/env bash
# in_root.sh ROOT COMMAND…: runs a command as root in another root file system, with mounts and processes of its own.
#
# The root is entered by pivot_root, not chroot: the kernel makes no user namespace for a process in a chroot, and guests need one.
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
  echo "in_root.sh: only root can do this" >&2
  exit 1
fi
if ! unshare --mount true 2>/dev/null; then
  echo "in_root.sh: not even root may make a mount namespace on this host: is this a container without CAP_SYS_ADMIN?" >&2
  exit 77
fi
root=$1
shift
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private --pid --fork --kill-child --ipc bash -euc '
  root=$1
  shift
  mount --bind "$root" "$root"
  cd "$root"
  mkdir -p dev proc sys run tmp .outside
  mount --rbind /dev dev
  mount --rbind /sys sys
  mount -t proc proc proc
  mount -t tmpfs -o mode=755 tmpfs run
  pivot_root . .outside
  umount -l /.outside
  rmdir /.outside
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
' in_root "$root" "$@"
