#!/usr/bin/env bash
# Expected: after the peer's close() of a Unix stream socket, one reads what it has sent and then the end of the stream.
# Seen: if the peer had not read everything that was sent to it, one reads what it has sent, and then the error ECONNRESET. There is
#       no end of stream. A protocol whose last message needs no answer fails now and then: it depends on who was quicker.
# Versions: Linux 6.18; CPython 3.11.2 makes the calls.
# Source: net/unix/af_unix.c, unix_release_sock(): the peer gets ECONNRESET if the queue of the closing end is not empty. unix(7)
#         does not name it.
# For pyro: the end of a connection by ECONNRESET is an end.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(python3.11-minimal=3.11.2-6+deb12u9 libpython3.11-minimal=3.11.2-6+deb12u9)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export PYTHONHOME=$work/root/usr
uname -sr | cut -d- -f1
seen=$(root/usr/bin/python3.11 - <<'PY'
import socket

for unread in (b"", b"goodbye"):
    ours, peer = socket.socketpair()
    ours.sendall(unread)
    peer.sendall(b"result")
    peer.close()
    result = ours.recv(100)
    try:
        end = repr(ours.recv(100))
    except OSError as error:
        end = str(error)
    print(f"unread {unread!r}: {result!r}, then {end}")
PY
)
echo "$seen"
[[ $seen == *"unread b'': b'result', then b''"*"unread b'goodbye': b'result', then [Errno 104]"* ]]
