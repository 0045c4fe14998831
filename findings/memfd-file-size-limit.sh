#!/usr/bin/env bash
# Expected: "ulimit -f" limits files. Memory without a name, from memfd_create(), has no place in a file system and is no file.
# Seen: ftruncate() of a memfd beyond the limit fails with EFBIG and sends SIGXFSZ, which kills a program by default. A program that
#       shares memory with a child ends so, and its stderr is empty.
# Versions: Linux 6.18; CPython 3.11.2 makes the calls.
# Source: fs/attr.c, inode_newsize_ok() compares with RLIMIT_FSIZE for each kind of inode. memfd_create(2) does not name it.
# For pyro: the limit is lifted, or refused with its name, before QEMU gets its memory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(python3.11-minimal=3.11.2-6+deb12u9 libpython3.11-minimal=3.11.2-6+deb12u9)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export PYTHONHOME=$work/root/usr
uname -sr | cut -d- -f1
try() { (ulimit -f 8; exec root/usr/bin/python3.11 -c "$1") 2>&1; }
program='
import os, signal
signal.signal(signal.SIGXFSZ, signal.$0)
memory = os.memfd_create("shared")
try:
    os.ftruncate(memory, 1 << 20)
    print("1 MiB")
except OSError as error:
    print(error)
'
ignored=$(try "${program/\$0/SIG_IGN}")
status=0
killed=$(try "${program/\$0/SIG_DFL}") || status=$?
free=$(root/usr/bin/python3.11 -c "${program/\$0/SIG_DFL}")
printf 'no limit: %s\n8 KiB, signal ignored: %s\n8 KiB: exit status %s, "%s"\n' "$free" "$ignored" "$status" "$killed"
[[ $free == "1 MiB" && $ignored == *"[Errno 27]"* && $status == $((128 + 25)) && -z $killed ]]
