"""Runs in a guest, as root: ways around a policy, each with a word of its own that may not get outside.

Arguments: the address of an allowed name, another address, one of the LAN, and the allowed name.
"""

import fcntl
import os
import socket
import ssl
import struct
import sys

ALLOWED, OTHER, NEAR, NAME = sys.argv[1:]
CARD = next(name for name in os.listdir("/sys/class/net") if name not in ("lo", "sit0", "tunl0"))
RESOLVER = next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))


def mac_of(card):
    return bytes.fromhex(open(f"/sys/class/net/{card}/address").read().strip().replace(":", ""))


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return socket.inet_ntoa(fcntl.ioctl(one, 0x8915, struct.pack("256s", CARD.encode()))[20:24])


def gateway():
    """The address and the MAC of the gateway, which an earlier connection has asked for."""
    for line in open("/proc/net/arp").read().splitlines()[1:]:
        words = line.split()
        if words[3] != "00:00:00:00:00:00":
            return words[0], bytes.fromhex(words[3].replace(":", ""))
    raise AssertionError("no neighbour is known")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(protocol, source, to, payload, fragment=0):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(to))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(port, payload):
    return struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload


def tcp(source, to, port, flags, payload):
    head = struct.pack(">HHIIBBHHH", 4001, port, 1000, 1000 if flags & 16 else 0, 0x50, flags, 65535, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(to) + struct.pack(">BBH", 0, 6, 20 + len(payload))
    return head[:16] + struct.pack(">H", checksum(pseudo + head + payload)) + head[18:] + payload


def frame(kind, payload, source=None):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((CARD, 0))
        raw.send(gateway()[1] + (source or mac_of(CARD)) + struct.pack(">H", kind) + payload)


def stream(address, port, payload, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(20)
        one.connect((address, port))
        one.send(payload)
        one.recv(100)


def datagram(address, port, payload):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(20)
        one.connect((address, port))
        one.send(payload)
        one.recv(600)


def tls(name):
    context = ssl.create_default_context()
    with socket.create_connection((ALLOWED, 8080), timeout=20) as one:
        context.wrap_socket(one, server_hostname=name)


def question(name, extra=b""):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    more = b"\0\0\x29\x04\xd0\0\0\0\0" + struct.pack(">HHH", 4 + len(extra), 65001, len(extra)) + extra
    head = struct.pack(">HHHHHH", 9, 0x100, 1, 0, 0, 1 if extra else 0)
    return head + labels + b"\0\0\1\0\1" + (more if extra else b"")


def try_all():
    own = own_address()
    six = b"\x60\0\0\0" + struct.pack(">HBB", 16, 17, 64) + b"\x20\x01\x0d\xb8" + b"\0" * 12 + \
        b"\0" * 10 + b"\xff\xff" + socket.inet_aton(OTHER)
    request = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n".format
    yield "mapped", lambda: stream("::ffff:" + OTHER, 8080, b"leak-mapped", socket.AF_INET6)
    yield "address", lambda: stream(OTHER, 8080, b"leak-address")
    yield "near", lambda: stream(NEAR, 8080, b"leak-near")
    yield "six", lambda: frame(0x86dd, six + udp(8080, b"leak-six"))
    yield "tunnel", lambda: frame(0x800, ip(41, own, ALLOWED, six + udp(8080, b"leak-tunnel")))
    yield "udp", lambda: datagram(OTHER, 8080, b"leak-udp")
    yield "quic", lambda: datagram(ALLOWED, 443, b"leak-quic")
    yield "syn", lambda: frame(0x800, ip(6, own, ALLOWED, tcp(own, ALLOWED, 8080, 2, b"leak-syn")))
    yield "segment", lambda: frame(0x800, ip(6, own, ALLOWED, tcp(own, ALLOWED, 8080, 24, b"leak-segment")))
    yield "fragment", lambda: frame(0x800, ip(17, own, ALLOWED, udp(8080, b"leak-fragment"), fragment=0x2000))
    # What a second card behind the first would send.
    yield "card", lambda: frame(0x800, ip(17, "10.0.2.99", ALLOWED, udp(8080, b"leak-card")),
                                b"\x02\0\0\0\0\x63")
    yield "tagged", lambda: frame(0x8100, b"\0\1\x08\0" + ip(17, own, ALLOWED, udp(8080, b"leak-tagged")))
    yield "name", lambda: socket.getaddrinfo("leak-name.other.example", 80)
    yield "resolver", lambda: datagram(NEAR, 53, question("leak-resolver." + NAME))
    yield "names-over-tcp", lambda: stream(RESOLVER, 53, b"leak-names-over-tcp")
    yield "option", lambda: datagram(RESOLVER, 53, question(NAME, b"leak-option"))
    yield "hello", lambda: tls("leak-hello.example")
    yield "host", lambda: stream(ALLOWED, 8080, request("leak-host.example").encode())


socket.getaddrinfo(NAME, 8080)
stream(ALLOWED, 8080, f"GET /leak-control HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
for word, attempt in try_all():
    try:
        attempt()
        print(word, "done")
    except (OSError, ssl.SSLError) as error:
        print(word, type(error).__name__)
