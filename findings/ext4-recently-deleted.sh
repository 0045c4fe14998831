#!/usr/bin/env bash
# Expected: a file system without a journal has less to do, so it makes and removes files at least as fast as one that has a journal.
# Seen: ext4 without a journal does so until files are removed. For the next minutes each new file costs the kernel many times what it did
#       before. Without a journal ext4 does not use the number of a file again that was removed a short time ago, and looks for another one, from the
#       first of the group, each time. With a journal nothing changes. So what unpacks and removes many small files, one tree after the
#       other, should remove all of them at the end.
# Versions: e2fsprogs 1.47.0, Linux 6.18.
# Source: Linux, fs/ext4/ialloc.c, recently_deleted() and find_inode_bit(); mke2fs(8) and ext4(5) say nothing of it.
set -euo pipefail
[[ $(id -u) == 0 ]] || { echo "only root can try this" >&2; exit 2; }
work=$(mktemp -d)
trap 'umount "$work/mounted" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
package=e2fsprogs=1.47.0-2+b2
apt-get download -qq "$package" 2>/dev/null || { echo "$package: not reachable" >&2; exit 2; }
dpkg -x e2fsprogs_*.deb root
uname -r
root/sbin/mke2fs -V 2>&1 | sed -n 1p
cat > make.py <<'PYTHON'
import os
import resource


def make(tag):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
    for number in range(20000):
        os.close(os.open(f"mounted/files/{tag}{number}", os.O_CREAT | os.O_WRONLY))
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime - before


os.mkdir("mounted/files")
first = make("a")
for name in os.listdir("mounted/files"):
    os.unlink(f"mounted/files/{name}")
again = make("b")
print(f"{first:.2f} {again:.2f} {int(again / first)}")
PYTHON
mkdir mounted
declare -A times
for journal in has_journal ^has_journal; do
  truncate -s 1G disk.img
  root/sbin/mke2fs -q -F -t ext4 -O "$journal" disk.img
  mount -o loop disk.img mounted 2>/dev/null || { echo "no disk image can be mounted here" >&2; exit 2; }
  read -r first again times[$journal] < <(python3 make.py)
  printf '%s: 20,000 new files %s s of the kernel, the same after their removal %s s\n' "$journal" "$first" "$again"
  umount mounted
  rm disk.img
done
[[ ${times[has_journal]} -lt 3 && ${times[^has_journal]} -gt 5 ]]
