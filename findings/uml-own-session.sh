#!/usr/bin/env bash
# Expected: `nice -n 19 linux.uml …` gives a guest of User Mode Linux what other programs leave: beside a busy program on the same processor, a few
#           hundredths.
# Seen: it gets a half. Linux shares a processor between sessions first (autogroup), and a niceness counts within a session alone. linux.uml makes
#       a session at its start, and a new session has the niceness 0, even if the one before had another. So pyro's kernel makes no session.
# Versions: user-mode-linux 6.1um4, on Linux 6.18 with sched_autogroup_enabled=1. It does not start on a processor with AMX.
# Source: sched(7), "The autogroup feature"; main() in arch/um/os-Linux/main.c of Linux. The manual of linux.uml says nothing of it.
set -euo pipefail
[[ $(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null) == 1 ]] || { echo "this kernel does not share between sessions" >&2; exit 2; }
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
packages=(user-mode-linux=6.1um4+b13 busybox-static=1:1.35.0-4+deb12u1+b1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
mkdir -p init/bin init/dev
cp root/bin/busybox init/bin/busybox
cat > init/init << 'END'
#!/bin/busybox sh
while :; do :; done
END
chmod +x init/init
(cd init && find . | "$work/root/bin/busybox" cpio -o -H newc 2>/dev/null) > initrd
seconds() { ps -o cputimes= "$@" | awk '{ sum += $1 } END { print sum + 0 }'; }
# share WHICH…: what the processes get beside the busy program, in percent of both.
share() {
  local busy_before other_before busy_got other_got
  busy_before=$(seconds -p $busy)
  other_before=$(seconds "$@")
  sleep 15
  busy_got=$(($(seconds -p $busy) - busy_before))
  other_got=$(($(seconds "$@") - other_before))
  echo $((100 * other_got / (busy_got + other_got)))
}
uname -r
taskset -c 0 sh -c 'while :; do :; done' &
busy=$!
nice -n 19 taskset -c 0 sh -c 'while :; do :; done' &
shell=$(share -p $!)
printf 'a shell with the niceness 19: %s percent\n' "$shell"
kill $!
TMPDIR=$work nice -n 19 taskset -c 0 root/usr/bin/linux.uml mem=64M initrd=initrd con=null con0=null,fd:1 console=tty0 quiet rdinit=/init < /dev/null > console 2>&1 &
kernel=$!
sleep 5
guest=$(share -s "$kernel")
printf 'linux.uml with the niceness 19: %s percent\n' "$guest"
ps -o pid=,sid=,ni=,args= -p $busy,$kernel | cut -c 1-60
[[ $shell -lt 15 && $guest -gt 30 ]]
