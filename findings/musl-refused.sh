#!/usr/bin/env bash
# Expected: a resolver that answers REFUSED is believed at once, as one that answers NXDOMAIN is: the program gets its error in milliseconds.
# Seen: with glibc it does. musl takes the answer for none: it waits for its whole time, five seconds, and asks again in between. After
#       NXDOMAIN it fails at once. So what refuses names to guests of any libc must say NXDOMAIN, although REFUSED is the truer word.
# Versions: musl 1.2.3, glibc 2.36.
# Source: RFC 1035, 4.1.1, has REFUSED for a server that "refuses to perform the specified operation for policy reasons"; musl's documents name no
#         difference between answers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(musl=1.2.3-1 musl-dev=1.2.3-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; dpkg-deb -f "$package" Package Version; done
unshare -rnm true 2>/dev/null || { echo "no namespaces can be made here" >&2; exit 2; }
ldd --version | sed -n 1p
cat > ask.c <<'C'
#include <netdb.h>
#include <sys/socket.h>
int main(int count, char **words) {
  struct addrinfo hints = {0}, *found;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  return count == 2 && getaddrinfo(words[1], 0, &hints, &found) ? 3 : 4;
}
C
gcc -o by-glibc ask.c
lib=root/usr/lib/x86_64-linux-musl
gcc -static -nostdinc -nostdlib -isystem root/usr/include/x86_64-linux-musl -o by-musl ask.c $lib/crt1.o $lib/crti.o $lib/libc.a \
  "$(gcc -print-libgcc-file-name)" $lib/crtn.o
echo 'nameserver 127.0.0.1' > resolv.conf
cat > server.py <<'PYTHON'
import os
import socket
import subprocess
import threading
import time

CODES = {"refused": 5, "nxdomain": 3}
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", "resolv.conf", os.path.realpath("/etc/resolv.conf")], check=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))


def answer():
    while True:
        question, asker = server.recvfrom(512)
        label = question[13 : 13 + question[12]].decode()
        server.sendto(question[:2] + bytes([0x81, 0x80 | CODES[label]]) + question[4:], asker)


threading.Thread(target=answer, daemon=True).start()
took = {}
for libc in ("glibc", "musl"):
    for label in CODES:
        start = time.monotonic()
        status = subprocess.run([f"./by-{libc}", f"{label}.example"], timeout=30).returncode
        took[libc, label] = time.monotonic() - start
        print(f"{libc}, {label}: exit status {status} after {took[libc, label]:.1f} s", flush=True)
quick = [took[key] < 2 for key in took if key != ("musl", "refused")]
raise SystemExit(0 if all(quick) and took["musl", "refused"] > 4 else 1)
PYTHON
unshare -rnm python3 server.py
