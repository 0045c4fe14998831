#!/usr/bin/env bash
# Expected: a guest may send its first bytes with the acknowledgment that ends the handshake. The other side gets them.
# Seen: passt takes the acknowledgment, and drops the bytes without a word. They arrive when the guest sends them again. The same bytes in a
#       segment of their own arrive at once. Linux sends the acknowledgment alone, so only other stacks and what rewrites frames meet this:
#       there each connection waits for the first retransmission.
# Versions: passt 0.0~git20230309.7c7625d.
# Source: RFC 9293, 3.10.7.4: in SYN-RECEIVED an acceptable ACK makes the connection established, and processing goes on with the segment's text.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
package=passt=0.0~git20230309.7c7625d-1
apt-get download -qq "$package" 2>/dev/null || { echo "$package: not reachable" >&2; exit 2; }
dpkg -x passt_*.deb root
unshare -rn true 2>/dev/null || { echo "no network namespace can be made here" >&2; exit 2; }
dpkg-deb -f passt_*.deb Package Version
cat > guest.py <<'PYTHON'
import os
import socket
import struct
import subprocess
import time

GUEST, GATEWAY = socket.inet_aton("10.0.2.15"), socket.inet_aton("10.0.2.2")
MAC, EVERYONE = b"\x02\0\0\0\0\1", b"\xff" * 6
PORT, START = 8000, 1001
SYN, ACK, PUSH = 2, 16, 8


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def segment(port, sequence, acknowledged, flags, data=b""):
    tcp = struct.pack("!HHIIBBHHH", port, PORT, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0) + data
    tcp = tcp[:16] + checksum(GUEST + GATEWAY + struct.pack("!BBH", 0, 6, len(tcp)) + tcp) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, GUEST, GATEWAY)
    return EVERYONE + MAC + b"\x08\0" + ip[:10] + checksum(ip) + ip[12:] + tcp


def send(frame):
    wire.sendall(struct.pack("!I", len(frame)) + frame)


def read(size):
    data = b""
    while len(data) < size:
        data += wire.recv(size - len(data))
    return data


def answer(port):
    while True:
        frame = read(struct.unpack("!I", read(4))[0])
        if frame[12:14] == b"\x08\0" and frame[23] == 6 and struct.unpack("!H", frame[36:38])[0] == port:
            return struct.unpack("!I", frame[38:42])[0]


def received(connection):
    try:
        return connection.recv(100)
    except TimeoutError:
        return b""


def connect(port, together):
    send(segment(port, START - 1, 0, SYN))
    theirs = answer(port) + 1
    connection = server.accept()[0]
    connection.settimeout(1)
    first = segment(port, START, theirs, ACK | PUSH, b"hello")
    if not together:
        send(segment(port, START, theirs, ACK))
    send(first)
    at_once = received(connection)
    later = b""
    if not at_once:
        send(first)
        later = received(connection)
    print(f"{'with the acknowledgment' if together else 'after it'}: at once {at_once!r}, sent again {later!r}", flush=True)
    return at_once, later


for words in ["link set lo up", "tuntap add tap0 mode tap", "addr add 192.0.2.9/24 dev tap0", "link set tap0 up",
              "route add default via 192.0.2.1"]:
    subprocess.run(["ip", *words.split()], check=True)
server = socket.create_server(("127.0.0.1", PORT))
server.settimeout(5)
passt = subprocess.Popen(["root/usr/bin/passt", "-f", "-q", "-4", "-s", "socket", "-a", "10.0.2.15", "-n", "24", "-g", "10.0.2.2",
                          "-t", "none", "-u", "none"], stderr=subprocess.DEVNULL)
try:
    deadline = time.monotonic() + 10
    while not os.path.exists("socket") and time.monotonic() < deadline:
        time.sleep(0.05)
    wire = socket.socket(socket.AF_UNIX)
    wire.connect("socket")
    wire.settimeout(5)
    send(EVERYONE + MAC + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, MAC, GUEST, bytes(6), GATEWAY))
    apart, together = connect(5001, False), connect(5002, True)
finally:
    passt.kill()
raise SystemExit(0 if apart == (b"hello", b"") and together == (b"", b"hello") else 1)
PYTHON
timeout 60 unshare -rn python3 guest.py
