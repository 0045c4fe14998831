"""The guest kernel in user mode: what it has, what it leaves out, and that a guest of it runs. docs/usermode.md describes it."""

import json
import os
import re
import socket
import subprocess

import harness
import pytest

KERNEL = harness.BIN / "pyro-usermode-kernel"

# What a guest's root could use to run code in its kernel, to reach the host's files, or to read the kernel's memory.
LEFT_OUT = {
    "MODULES", "DEVMEM", "DEVPORT", "PROC_KCORE", "KEXEC", "KEXEC_FILE", "MAGIC_SYSRQ", "DEBUG_FS", "KPROBES", "FTRACE", "KALLSYMS",
    "KGDB", "LIVEPATCH", "HIBERNATION", "SWAP", "HOSTFS", "MCONSOLE", "MMAPPER", "UML_TIME_TRAVEL_SUPPORT", "GPROF", "SSL", "PORT_CHAN",
    "PTY_CHAN", "TTY_CHAN", "XTERM_CHAN", "UML_SOUND", "UML_RANDOM", "VIRTIO_UML", "UML_PCI_OVER_VIRTIO", "UML_RTC", "UML_WATCHDOG", "UML_NET_ETHERTAP",
    "UML_NET_TUNTAP", "UML_NET_SLIP", "UML_NET_DAEMON", "UML_NET_VDE", "UML_NET_MCAST", "UML_NET_SLIRP", "DEBUG_INFO", "HUGETLBFS",
    "BINFMT_MISC",
}


@pytest.fixture(scope="module", autouse=True)
def kernel():
    if not KERNEL.exists():
        harness.cannot_run("the guest kernel in user mode is not built: make usermode")


def initramfs(path):
    """An archive with the program of init.c as its only file."""
    program = path.with_suffix(".init")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-s", "-o", program, harness.ROOT / "tests/usermode/init.c"], check=True)
    archive = bytearray()
    for name, mode, content in [(b"dev", 0o40755, b""), (b"init", 0o100755, program.read_bytes()), (b"TRAILER!!!", 0, b"")]:
        fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        archive += b"\0" * (-len(archive) % 4) + content
        archive += b"\0" * (-len(archive) % 4)
    path.write_bytes(archive)


class Guest:
    """One run of init.c: its exit code, what it printed, and what the host saw of it."""

    def __init__(self, directory, *words):
        initrd = directory / "initrd"
        initramfs(initrd)
        disk = directory / "disk"
        disk.write_bytes(b"from the host".ljust(1 << 20, b"\0"))
        here, there = socket.socketpair()
        here.sendall(b"welcome")
        with disk.open("r+b") as file:
            descriptors = [there.fileno(), file.fileno()]
            result = subprocess.run(
                [KERNEL, "mem=64M", f"initrd={initrd}", f"hostport={descriptors[0]}", f"ubd0=@{descriptors[1]}", "con=null",
                 "con0=null,fd:1", "console=tty0", "quiet", "noreboot", "panic=-1", *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=descriptors,
                env={"HOME": str(directory), "TMPDIR": os.environ.get("TMPDIR", "/dev/shm")}, timeout=harness.HANG_SECONDS, check=False)
        there.close()
        self.exit_code = result.returncode
        self.text = result.stdout.decode(errors="replace")
        self.heard = here.recv(64)
        here.close()
        self.disk = disk.read_bytes()

    def words(self, key):
        found = re.search(rf"^{key}:(.*?)\r?$", self.text, re.MULTILINE)
        assert found, f"no line '{key}':\n{self.text}"
        return found[1].split()


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    return Guest(tmp_path_factory.mktemp("guest"))


def test_the_kernel_boots_to_an_init_and_powers_off(guest):
    about = json.loads(KERNEL.with_suffix(".json").read_text())
    assert guest.exit_code == 0, guest.text
    assert guest.words("kernel") == [about["kernel"]]
    assert guest.words("end") == []


def test_a_guest_has_the_file_systems_cgroups_and_namespaces_that_pyro_and_programs_need(guest):
    assert {"erofs", "overlay", "ext4", "tmpfs", "devtmpfs", "proc", "sysfs", "cgroup2"} <= set(guest.words("filesystems"))
    assert {"pids", "memory", "cpu", "io"} <= set(guest.words("controllers"))
    assert {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} <= set(guest.words("namespaces"))


def test_a_guest_finds_no_door_to_its_kernels_memory_or_to_the_host(guest):
    assert guest.words("modules") == ["no"]
    assert not {"mem", "kmem", "port", "kcore"} & set(guest.words("devices"))
    assert not {"hostfs", "debugfs", "tracefs"} & set(guest.words("filesystems"))
    # Without a descriptor for it there is no network card.
    assert set(guest.words("network")) <= {"lo", "sit0", "tunl0"}


def test_registers_survive_a_switch_of_processes_and_a_signal_handler(guest):
    if guest.words("registers") == ["none"]:
        pytest.skip("this processor has no AVX-512")
    assert guest.words("registers") == ["switch", "signal"]


def test_a_program_that_fills_memory_gets_several_pages_with_one_fault(guest):
    pages, content = guest.words("memory")
    assert content == "right"
    assert 128 < int(pages) <= 128 + 16, "it has touched 128"


def test_the_time_of_a_program_counts_as_the_systems(guest):
    own, systems = map(int, guest.words("time"))
    assert own == 0 and systems > 50, (own, systems)


def test_a_disk_is_an_inherited_descriptor_and_a_synced_write_is_in_its_file(guest):
    assert guest.words("disk") == ["from", "the", "host", "synced"]
    assert guest.disk[4096:].startswith(b"from the guest\0")


def test_the_channel_is_an_inherited_socket(guest):
    assert guest.words("host") == ["welcome"]
    assert guest.heard == b"hello"


def test_a_restart_ends_the_machine_with_a_code_of_its_own(tmp_path):
    assert Guest(tmp_path, "end=restart").exit_code == 10


def test_the_configuration_leaves_out_what_a_guest_may_not_have():
    lines = KERNEL.with_suffix(".config").read_text().splitlines()
    there = {line.removeprefix("CONFIG_").partition("=")[0] for line in lines if line.startswith("CONFIG_")}
    assert {"UML", "STATIC_LINK", "EROFS_FS"} <= there
    assert not LEFT_OUT & there


def test_the_document_names_every_option_that_is_left_out():
    text = (harness.ROOT / "docs/usermode.md").read_text()
    assert not [name for name in sorted(LEFT_OUT) if f"`{name}`" not in text]


def test_a_second_build_of_the_same_sources_does_nothing():
    before = KERNEL.stat()
    result = subprocess.run([harness.ROOT / "usermode/build.sh", harness.BIN.parent], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "is up to date" in result.stdout
    assert KERNEL.stat().st_ino == before.st_ino


PATCH = """A change.

{header}

It is described here. Hardening: this is no header line.

--- a/file.c
+++ b/file.c
@@ -1,2 +1,2 @@
 first
-open_everything();
+open_nothing();
"""
HARDENING = "Needed-where: file.c open_everything();\nHardening: a guest could open everything."


@pytest.mark.parametrize("header, source, told", [
    ("Needed-where: file.c open_everything();", "first\nopen_everything();\n", "applied a\n"),
    (HARDENING, "first\nopen_everything();\n", "applied a\n"),
    ("Needed-where: file.c open_everything();", "first\nopen_nothing();\n", "not-needed a\n"),
    (HARDENING + "\nNot-needed-where: file.c open_nothing();", "first\nopen_nothing();\n", "not-needed a\n"),
    # The text is gone, and nothing tells if the danger is gone with it.
    (HARDENING, "first\nopen_all();\n", "the patch a hardens the kernel"),
    (HARDENING + "\nNot-needed-where: file.c open_nothing();", "first\nopen_all();\n", "the patch a hardens the kernel"),
    (HARDENING + "\nNot-needed-where: no-such.c open", "first\nopen_all();\n", "the patch a hardens the kernel"),
    (HARDENING + "\nNot-needed-where: file.c", "first\nopen_all();\n", "the patch a hardens the kernel"),
    (HARDENING, "first\nif (asked) open_everything();\n", "the patch a does not fit this kernel"),
    ("Needed-where: file.c open_everything();", "first\nif (asked) open_everything();\n", "the patch a does not fit this kernel"),
    ("Hardening: a guest could open everything.", "first\nopen_everything();\n", "the patch a does not say where it is needed"),
])
def test_a_patch_that_hardens_is_left_out_only_where_the_source_shows_the_same_hardening(tmp_path, header, source, told):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file.c").write_text(source)
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches/a.patch").write_text(PATCH.format(header=header))
    done = subprocess.run([harness.ROOT / "usermode/patch.sh", tmp_path / "source", tmp_path / "patches"], capture_output=True,
                          text=True, check=False)
    if told.startswith("the patch"):
        assert (done.returncode, done.stdout) == (1, "") and f"usermode: {told}" in done.stderr and "\nhint: " in done.stderr, done
    else:
        assert (done.returncode, done.stdout) == (0, told), done
    assert ("open_nothing" in (tmp_path / "source/file.c").read_text()) == (not told.startswith("the patch")), done


def test_the_kernel_has_every_patch_that_hardens():
    hardening = {path.stem for path in (harness.ROOT / "usermode/patches").glob("*.patch") if "\nHardening: " in path.read_text()}
    assert {"0003-disks", "0006-network", "0012-nothing-else"} <= hardening
    assert hardening <= set(json.loads(KERNEL.with_suffix(".json").read_text())["patches"])
