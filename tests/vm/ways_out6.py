"""Runs in a guest, as root: ways around a policy over IPv6, each with a word of its own that may not get outside.

Arguments: the address of an allowed name, another address, one of the LAN, one of the host, and the allowed name.
"""

import os
import socket
import ssl
import struct
import sys

ALLOWED, OTHER, NEAR, HOST, NAME = sys.argv[1:]
CARD = next(name for name in os.listdir("/sys/class/net") if name not in ("lo", "sit0", "tunl0"))
OWN = next(line.split()[0] for line in open("/proc/net/if_inet6") if line.split()[3] == "00" and CARD in line)
OWN = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(OWN))
GATEWAY = next(line.split()[4] for line in open("/proc/net/ipv6_route") if line.split()[1] == "00" and CARD in line)
GATEWAY = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(GATEWAY))
GATEWAY_MAC = bytes.fromhex("52550a000202")
OPTIONS = bytes([6]) + bytes(7)  # A header of padding, behind which TCP stands.


def mac():
    return bytes.fromhex(open(f"/sys/class/net/{CARD}/address").read().strip().replace(":", ""))


def packed(address):
    return socket.inet_pton(socket.AF_INET6, address)


def checksum(source, to, protocol, payload):
    data = packed(source) + packed(to) + struct.pack(">IBBBB", len(payload), 0, 0, 0, protocol) + payload
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack(">H", ~total & 0xffff)


def frame(protocol, to, payload, source=None, hops=64, to_mac=GATEWAY_MAC):
    head = struct.pack(">IHBB", 0x60000000, len(payload), protocol, hops) + packed(source or OWN) + packed(to)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((CARD, 0))
        raw.send(to_mac + mac() + b"\x86\xdd" + head + payload)


def udp(to, port, payload, source=None):
    head = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0)
    return head[:6] + checksum(source or OWN, to, 17, head + payload) + payload


def tcp(to, port, flags, payload):
    head = struct.pack(">HHIIBBHHH", 4001, port, 1000, 1000 if flags & 16 else 0, 0x50, flags, 65535, 0, 0)
    return head[:16] + checksum(OWN, to, 6, head + payload) + head[18:] + payload


def icmp(to, kind, payload, source=None):
    head = struct.pack(">BBH", kind, 0, 0)
    return head[:2] + checksum(source or OWN, to, 58, head + payload) + payload


def stream(address, port, payload):
    with socket.create_connection((address, port), timeout=20) as one:
        one.send(payload)
        one.recv(100)


def datagram(address, port, payload):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.settimeout(20)
        one.connect((address, port))
        one.send(payload)
        one.recv(600)


def tls(name):
    with socket.create_connection((ALLOWED, 8080), timeout=20) as one:
        ssl.create_default_context().wrap_socket(one, server_hostname=name)


def advertisement(word):
    # A router that lives for an hour and has a prefix of its own, and an option that no one knows.
    prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xc0, 3600, 3600, 0) + packed("2001:db8:9::")
    rest = struct.pack(">BBHII", 64, 0, 3600, 0, 0) + prefix + bytes([250, 2]) + word.ljust(14, b"\0")
    frame(58, "ff02::1", icmp("ff02::1", 134, rest), hops=255, to_mac=bytes.fromhex("333300000001"))


def try_all():
    request = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n".format
    yield "address", lambda: stream(OTHER, 8080, b"leak-address")
    yield "near", lambda: stream(NEAR, 8080, b"leak-near")
    yield "host-itself", lambda: stream(HOST, 8081, b"leak-host-itself")
    yield "gateway", lambda: stream(GATEWAY, 8081, b"leak-gateway")
    yield "resolver", lambda: datagram(GATEWAY[:-1] + "3", 53, b"leak-resolver")
    yield "link", lambda: stream("fe80::2%" + CARD, 8081, b"leak-link")
    yield "unique", lambda: stream("fd00::1", 8080, b"leak-unique")
    yield "metadata", lambda: stream("fd00:ec2::254", 80, b"leak-metadata")
    yield "nat", lambda: stream("64:ff9b::203.0.113.2", 8080, b"leak-nat")
    yield "six-to-four", lambda: stream("2002:cb00:7102::1", 8080, b"leak-six-to-four")
    yield "teredo", lambda: stream("2001::1", 8080, b"leak-teredo")
    yield "mapped", lambda: stream("::ffff:203.0.113.3", 8080, b"leak-mapped")
    yield "udp", lambda: datagram(OTHER, 8080, b"leak-udp")
    yield "quic", lambda: datagram(ALLOWED, 443, b"leak-quic")
    yield "names", lambda: datagram(NEAR, 53, b"leak-names")
    yield "hello", lambda: tls("leak-hello.example")
    yield "name-of-host", lambda: stream(ALLOWED, 8080, request("leak-name-of-host.example").encode())
    yield "blank", lambda: stream(ALLOWED, 8080, b" " + request("leak-blank.example").encode())
    # What is sent by itself has no answer.
    for kind in (0, 43, 60):
        yield f"header-{kind}", lambda kind=kind: frame(
            kind, ALLOWED, OPTIONS + tcp(ALLOWED, 8080, 2, b"leak-header-" + str(kind).encode()))
    yield "fragment", lambda: frame(44, ALLOWED, bytes([17, 0, 0, 1, 0, 0, 0, 9]) + udp(ALLOWED, 8080, b"leak-fragment"))
    yield "unknown", lambda: frame(139, ALLOWED, OPTIONS + b"leak-unknown")
    yield "tunnel", lambda: frame(4, ALLOWED, b"\x45" + b"leak-tunnel" * 4)
    yield "syn", lambda: frame(6, ALLOWED, tcp(ALLOWED, 8080, 2, b"leak-syn"))
    yield "segment", lambda: frame(6, ALLOWED, tcp(ALLOWED, 8080, 24, b"leak-segment"))
    yield "sender", lambda: frame(17, ALLOWED, udp(ALLOWED, 8080, b"leak-sender", "2001:db8:2::77"), "2001:db8:2::77")
    yield "advertisement", lambda: advertisement(b"leak-advertisement")
    yield "multicast", lambda: frame(17, "ff02::fb", udp("ff02::fb", 5353, b"leak-multicast"),
                                     to_mac=bytes.fromhex("3333000000fb"))
    yield "redirect", lambda: frame(58, ALLOWED, icmp(ALLOWED, 137, bytes(36) + b"leak-redirect"), hops=255)
    yield "raw-mapped", lambda: frame(17, "::ffff:203.0.113.2", udp("::ffff:203.0.113.2", 8080, b"leak-raw-mapped"))
    yield "neighbour", lambda: frame(58, "ff02::1:ff00:2", icmp(
        "ff02::1:ff00:2", 135, bytes(4) + packed(GATEWAY) + b"\1\1leak-neighbour"), hops=255)


socket.getaddrinfo(NAME, 8080)
stream(ALLOWED, 8080, f"GET /leak-control HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
for word, attempt in try_all():
    try:
        attempt()
        print(word, "done")
    except (OSError, ssl.SSLError) as error:
        print(word, type(error).__name__)
