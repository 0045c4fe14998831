"""A name server for the outside of a test, for programs that run there."""

import socket
import struct


def in_labels(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))


def serve(neighbour, addresses):
    """Answers on that address with what each name has, and says that other names do not exist. Prints `ready`.

    A name has an address of IPv4, or several of any version.
    """
    known = {}
    for name, some in addresses.items():
        for one in [some] if isinstance(some, str) else some:
            kind, family = (28, socket.AF_INET6) if ":" in one else (1, socket.AF_INET)
            known.setdefault(in_labels(name), {})[kind] = socket.inet_pton(family, one)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((neighbour, 53))
    print("ready", flush=True)
    while True:
        query, client = names.recvfrom(512)
        end = query.index(0, 12) + 5  # The one question.
        kind = struct.unpack(">H", query[end - 4:end - 2])[0]
        found = known.get(query[12:end - 5].lower())
        answer = b""
        if found and kind in found:
            answer = struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(found[kind])) + found[kind]
        head = query[:2] + (b"\x81\x80" if found else b"\x81\x83")
        head += struct.pack(">HHHH", 1, 1 if answer else 0, 0, 0)
        names.sendto(head + query[12:end] + answer, client)
