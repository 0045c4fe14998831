#!/usr/bin/env bash
# Expected: a client that pins a server's key ends the handshake with a TLS alert if the key is another, as it does if it does not trust
#           the certificate's authority. So a server, or a proxy that answers in its place, can tell the two from a client that went away.
# Seen: curl compares the pin after the handshake. Its server's handshake succeeds, no alert comes and no request either: only a plain end,
#       as of a client that opened a connection for later. So pyro-proxy takes a first connection without a request for one not trusted.
# Versions: curl 7.88.1 with OpenSSL 3.0, TLS 1.2 and 1.3.
# Source: RFC 8446, 6.2, has alerts for certificates that are not accepted (42 to 49); RFC 7469 leaves open when a pin is validated.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(curl=7.88.1-10+deb12u15 libcurl4=7.88.1-10+deb12u15)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in ./*.deb; do dpkg -x "$package" root; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout key.pem -out server.pem 2>/dev/null
cat > seen.py <<'PYTHON'
import os
import socket
import ssl
import subprocess
import threading

CURL = ["root/usr/bin/curl", "-sS", "-m", "10", "--noproxy", "*", "-o", "/dev/null"]
PIN = "sha256//" + "A" * 43 + "="
os.environ["LD_LIBRARY_PATH"] = "root/usr/lib/x86_64-linux-gnu"


def serve(server, version, told):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "key.pem")
    context.minimum_version = context.maximum_version = version
    plain = server.accept()[0]
    plain.settimeout(10)
    try:
        with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False) as guest:
            told.append("handshake done")
            told.append(f"{len(guest.recv(4096))} bytes")
    except ssl.SSLError as error:
        told.append(error.reason or type(error).__name__)


def case(version, *flags):
    told = []
    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(server, version, told))
    thread.start()
    done = subprocess.run([*CURL, *flags, f"https://localhost:{server.getsockname()[1]}/"], capture_output=True, check=False)
    thread.join(20)
    server.close()
    return done.returncode, told


print(subprocess.run([CURL[0], "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0])
good = True
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    pinned = case(version, "--cacert", "server.pem", "--pinnedpubkey", PIN)
    untrusted = case(version)
    print(f"{version.name}: another key than pinned: exit status {pinned[0]}, server: {pinned[1]}")
    print(f"{version.name}: authority not trusted: exit status {untrusted[0]}, server: {untrusted[1]}")
    good = good and pinned[0] == 90 and pinned[1][0] == "handshake done" and "ALERT" not in str(pinned[1])
    good = good and untrusted[0] == 60 and "ALERT" in str(untrusted[1])
raise SystemExit(0 if good else 1)
PYTHON
timeout 120 python3 seen.py
