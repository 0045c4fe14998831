"""Runs in a guest, with its own python3, for test_kernel_modules.py: asks the kernel itself for what tools such as `ip`, `nft` and
libfuse ask it for, so that no package has to be installed. No module is loaded by name here: the kernel has to find each by itself."""

import contextlib
import ctypes
import fcntl
import os
import socket
import stat
import struct
import sys

NETLINK_NETFILTER = 12
LIBC = ctypes.CDLL(None, use_errno=True)


def attribute(kind, data):
    """A netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(kind, flags, sequence, body):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def ask(family, *messages):
    """Sends them at once, and returns the type of the first answer. An error is raised."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as netlink:
        netlink.settimeout(60)
        netlink.send(b"".join(messages))
        answer = netlink.recv(65536)
    kind, = struct.unpack_from("=H", answer, 4)
    if kind == 2:  # NLMSG_ERROR, which also acknowledges.
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number:
            raise OSError(number, os.strerror(number))
    return kind


def link(name, kind):
    """ip link add NAME type KIND"""
    info = attribute(18, attribute(1, kind.encode()))  # IFLA_LINKINFO, IFLA_INFO_KIND
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(3, name.encode() + b"\0") + info
    ask(socket.NETLINK_ROUTE, message(16, 0x605, 1, body))  # RTM_NEWLINK: request, ack, create, exclusive.


def bridge():
    link("br0", "bridge")
    print(sorted(os.listdir("/sys/class/net/br0/brif")), os.path.exists("/sys/class/net/br0/bridge/stp_state"))


def nft():
    """nft add table ip nat; nft add chain ip nat out '{ type nat hook postrouting priority 100; }'"""
    def head(resource=0):
        return struct.pack(">BBH", socket.AF_INET if resource == 0 else 0, 0, resource)

    table = b"nat\0"
    hook = attribute(4 | 0x8000, attribute(1, struct.pack(">I", 4)) + attribute(2, struct.pack(">i", 100)))
    chain = attribute(1, table) + attribute(3, b"out\0") + hook + attribute(7, b"nat\0")
    ask(NETLINK_NETFILTER,
        message(0x10, 1, 0, head(10)),
        message(0xa00, 0x401, 1, head() + attribute(1, table)),
        message(0xa03, 0x405, 2, head() + chain),
        message(0x11, 1, 3, head(10)))
    found = ask(NETLINK_NETFILTER, message(0xa04, 1, 4, head() + attribute(1, table) + attribute(3, b"out\0")))
    print("chain" if found == 0xa03 else hex(found))


def tun():
    print(oct(stat.S_IMODE(os.stat("/dev/net/tun").st_mode)))
    with open("/dev/net/tun", "r+b", buffering=0) as device:
        fcntl.ioctl(device, 0x400454ca, struct.pack("16sH22x", b"tun7", 0x1001))  # TUNSETIFF, a TUN without a header.
        print(os.path.exists("/sys/class/net/tun7/tun_flags"))


CONTENT = b"of a program\n"


def attributes(node):
    mode, size = (0o100644, len(CONTENT)) if node == 2 else (0o40755, 0)
    return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(device):
    """A file system with the one file `hello`, until it is unmounted."""
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:
            os._exit(0)
        operation, unique, node = struct.unpack_from("=IQQ", request, 4)
        error, body = 0, b""
        if operation == 2:  # FORGET has no answer.
            continue
        if operation == 26:  # INIT
            body = struct.pack("=4IHH2I", 7, 31, 65536, 0, 16, 12, 65536, 1).ljust(64, b"\0")
        elif operation == 1 and request[40:].rstrip(b"\0") == b"hello":  # LOOKUP
            body = struct.pack("=4Q2I", 2, 1, 60, 60, 0, 0) + attributes(2)
        elif operation == 1:
            error = 2
        elif operation == 3:  # GETATTR
            body = struct.pack("=Q2I", 60, 0, 0) + attributes(node)
        elif operation == 14:  # OPEN
            body = bytes(16)
        elif operation == 15:  # READ
            body = CONTENT[struct.unpack_from("=Q", request, 48)[0]:]
        elif operation not in (18, 25):  # RELEASE, FLUSH
            error = 38
        os.write(device, struct.pack("=IiQ", 16 + len(body), -error, unique) + body)


def fuse():
    print(oct(stat.S_IMODE(os.stat("/dev/fuse").st_mode)))
    device = os.open("/dev/fuse", os.O_RDWR)
    os.makedirs("/tmp/fuse", exist_ok=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if LIBC.mount(b"test", b"/tmp/fuse", b"fuse", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    server = os.fork()
    if server == 0:
        serve(device)
    os.close(device)
    try:
        with open("/tmp/fuse/hello", encoding="ascii") as file:
            print(file.read().strip())
    finally:
        LIBC.umount2(b"/tmp/fuse", 2)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(server, 0)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
