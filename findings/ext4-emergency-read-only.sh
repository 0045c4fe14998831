#!/usr/bin/env bash
# Expected: after an error of its disk, ext4 with errors=remount-ro is mounted read-only: /proc/mounts says "ro" and statvfs() has ST_RDONLY. Programs
#           look there to learn whether they may write.
# Seen: each change fails with "Read-only file system", but /proc/mounts still begins with "rw" and has a word "emergency_ro" further on; ST_RDONLY is
#       not set. So pyro's agent asks by a change, not by a flag.
# Versions: e2fsprogs 1.47.0, Linux 6.18.
# Source: Linux, fs/ext4/super.c, ext4_handle_error() and _ext4_show_options(); ext4(5) promises a remount.
set -euo pipefail
[[ $(id -u) == 0 ]] || { echo "only root can try this" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
package=e2fsprogs=1.47.0-2+b2
apt-get download -qq "$package" 2>/dev/null || { echo "$package: not reachable" >&2; exit 2; }
dpkg -x e2fsprogs_*.deb root
uname -r
root/sbin/mke2fs -V 2>&1 | sed -n 1p
cat > fill.py <<'PYTHON'
import os

refused = ""
for number in range(40):
    try:
        with open(f"mounted/file{number}", "wb") as file:
            file.write(bytes(range(256)) * 4096)
            os.fsync(file.fileno())
    except OSError as error:
        refused = error.strerror
with open("/proc/self/mounts", encoding="utf-8") as mounts:
    options = [line.split()[3] for line in mounts if line.split()[1].endswith("/mounted")]
print("a new file:", refused)
print("options:", *options)
print("ST_RDONLY:", bool(os.statvfs("mounted").f_flag & os.ST_RDONLY))
PYTHON
# The file of the disk is larger than its place: a write of the file system fails, as on a full disk.
unshare --mount bash -euc '
  mkdir small mounted && mount -t tmpfs -o size=16m tmpfs small && truncate -s 64M small/disk
  root/sbin/mke2fs -q -F -t ext4 -J size=4 small/disk
  mount -o loop,errors=remount-ro small/disk mounted || { echo "no disk image can be mounted here" >&2; exit 2; }
  python3 fill.py
  umount mounted' | tee said
grep -q '^a new file: Read-only file system$' said && grep -q '^options: rw,.*emergency_ro' said && grep -q '^ST_RDONLY: False$' said
