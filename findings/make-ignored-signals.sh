#!/usr/bin/env bash
# Expected: a program that make starts has the signal dispositions of make's own caller; if none was ignored there, none is here.
# Seen: signals 32 and 33 are ignored (SigIgn 0000000180000000), in each program of a recipe and in all that it starts. The same
#       program without make has SigIgn 0. sigaction() of the C library refuses these two numbers, so no program can set them back
#       by it.
# Versions: GNU make 4.3 with the C library 2.36.
# Source: glibc, sysdeps/unix/sysv/linux/spawni.c: the child of posix_spawn() gets SIG_IGN for the two signals that the library
#         keeps for itself. make starts programs by posix_spawn(); a shell forks, and changes neither.
# For pyro: a test compared a child's ignored signals with 0 and failed only below make. It compares two children now.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(make=4.3-4.1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
dpkg -x make_*.deb root
printf 'all:\n\t@grep SigIgn /proc/self/status\n' >Makefile
root/usr/bin/make --version | sed -n 1p
ldd --version | sed -n 1p
# From a known state, regardless of what this script inherited.
clean() { env --default-signal "$@"; }
alone=$(clean grep SigIgn /proc/self/status)
below=$(clean root/usr/bin/make -s)
echo "alone: $alone"
echo "below make: $below"
[[ $alone == *0000000000000000 && $below == *0000000180000000 ]]
