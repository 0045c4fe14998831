#!/usr/bin/env bash
# Expected: `slow | awk '{ print; fflush() }'` prints each line when it comes.
# Seen: mawk, Debian's awk, prints the first of three lines when the pipe's other end is closed. It fills its buffer before it looks
#       at a line. With -W interactive it does not, but gawk has no such option.
# Versions: mawk 1.3.4-20200120 of Debian 12; 1.3.4-20250131 of Debian 13 does the same.
# Source: mawk's manual page, -W interactive.
# For pyro: the build of the kernel in user mode showed no progress for minutes. A loop of the shell reads its lines now.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(mawk=1.3.4.20200120-3.1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
dpkg -x mawk_*.deb root
root/usr/bin/mawk -W version 2>&1 | sed -n 1p || true
# The writer makes `closing` before it closes the pipe, so what sees the first line before that saw it at once.
first() {
  rm -f closing
  { echo a; sleep 1; echo b; sleep 1; touch closing; } | "$@" '{ print; fflush() }' |
    { read -r _; if [ -e closing ]; then echo "at the end"; else echo "at once"; fi; cat >/dev/null; }
}
plain=$(first root/usr/bin/mawk)
interactive=$(first root/usr/bin/mawk -W interactive)
echo "mawk: $plain"
echo "mawk -W interactive: $interactive"
[[ $plain == "at the end" && $interactive == "at once" ]]
