#!/usr/bin/env bash
# Expected: fsync() in a guest of User Mode Linux ends in fsync() on the file of the host that is its disk: the driver of ubd
#           devices says that it has a write cache, so that the kernel sends it flushes.
# Seen: the host's kernel is never asked. The driver's thread loops over the segments of a request, and a flush has none, so it
#       answers success without a call. What a guest has synced may be lost with the host's power. pyro's kernel is changed.
# Versions: user-mode-linux 6.1um4 (Linux 6.1), strace 6.1. It does not start on a processor with AMX.
# Source: arch/um/drivers/ubd_kern.c of Linux, do_io() and its caller.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(user-mode-linux=6.1um4+b13 busybox-static=1:1.35.0-4+deb12u1+b1 strace=6.1-0.1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir -p init/bin init/dev init/proc
cp root/bin/busybox init/bin/busybox
cat > init/init << 'END'
#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
echo "the guest waits"
busybox sleep 5
busybox dd if=/dev/zero of=/dev/ubda bs=4096 count=16 conv=fsync && echo "the guest has written and synced"
busybox poweroff -f
END
chmod +x init/init
(cd init && find . | "$work/root/bin/busybox" cpio -o -H newc 2>/dev/null) > initrd
truncate -s 1M disk
TMPDIR=$work timeout 120 root/usr/bin/linux.uml mem=64M initrd=initrd ubd0=disk con=null con0=null,fd:1 console=tty0 quiet \
  rdinit=/init < /dev/null > console 2>&1 &
for _ in $(seq 300); do
  grep -q waits console && break
  sleep 0.2
done
# The driver's thread is among the kernel's own processes; those of the guest's programs have a tracer already.
own=()
for task in $(pgrep -f "linux.uml mem=64M initrd=initrd"); do
  if grep -q "^TracerPid:[[:space:]]*0$" "/proc/$task/status"; then own+=(-p "$task"); fi
done
root/usr/bin/strace -qq -o calls -e trace=fsync,fdatasync,sync_file_range,pwrite64 "${own[@]}" || true
wait %1 || true
tr -d '\r' < console | grep synced
printf 'writes to the disk on the host: %s\n' "$(grep -c pwrite64 calls)"
printf 'syncs on the host: %s\n' "$(grep -c sync calls || true)"
[[ $(grep -c pwrite64 calls) -gt 0 ]] && ! grep -q sync calls
