"""The modules of a guest's kernel: in its root, and loaded by the kernel when something needs them."""

import base64
import pathlib
import subprocess
import zlib

import harness
import pytest

pytestmark = harness.only_on("qemu", "the kernel of user mode has no modules")

PARTS = pathlib.Path(__file__).with_name("kernel_parts.py")
# mksquashfs -all-root -mkfs-time 0 -all-time 0, of a directory with the file hello; without the zeros at its end.
SQUASHFS = ("c-qS-E-YqZfB_~3Mj*+^Ajoh4NU{Lg3Q(CBQ2GIs{tpFtP<}s@-UX#ELFxQ7g+zto!qUXzjI?4dd4`Hx$w?81PB5?*u!($VJbLd?>&yumk_u^TNemtWj3>oG"
            "3KAL^+%(P}IdEvg#95Ok^E0s3Gsy@vBtT8%V*opnVFjEI(ZZ_1%fKkWpm+!>&e8xPZvg<{vN1&")


@pytest.fixture(scope="module")
def task(tmp_path_factory, cache_dir):
    """One guest for all: what a test has loaded stays loaded, and none asks if a module was not."""
    root = tmp_path_factory.mktemp("modules")
    (root / "home").mkdir()
    pyro = harness.Pyro(root / "state", cache_dir, root / "home")
    made = pyro("task", "create", "-q", harness.FULL)
    assert made.code == 0, made
    task = harness.Task(pyro, made.text.strip())
    yield task
    task.delete()
    harness.expect_nothing_left(pyro)


def part(task, name):
    done = task.exec("python3", "-", name, input=PARTS.read_bytes())
    assert (done.code, done.err) == (0, b""), done
    return done.text.splitlines()


def shell(task, script, **options):
    done = task.exec("sh", "-ec", script, **options)
    assert (done.code, done.err) == (0, b""), done
    return done.text.splitlines()


def test_the_tree_is_that_of_the_kernel_and_kmod_finds_what_is_in_it(task):
    tree, running = shell(task, "ls /lib/modules; uname -r")
    assert tree == running
    assert shell(task, "modprobe -a zram xfs; grep -c xfs /proc/filesystems; ls /dev/zram0") == ["1", "/dev/zram0"]


def test_a_bridge_is_made(task):
    assert part(task, "bridge") == ["[] True"]


def test_a_table_of_nftables_with_a_chain_for_nat_is_made(task):
    assert part(task, "nft") == ["chain"]


def test_a_program_opens_a_tunnel(task):
    assert part(task, "tun") == ["0o666", "True"]


def test_a_file_system_of_a_program_is_mounted_and_read(task):
    assert part(task, "fuse") == ["0o666", "of a program"]


def test_an_image_is_mounted_by_a_loop_device(task, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/hello").write_text("of an image\n", encoding="ascii")
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-d", tmp_path / "tree", tmp_path / "image", "512k"], check=True)
    said = shell(task, "cat > /tmp/image; mkdir -p /tmp/loop; mount -o loop /tmp/image /tmp/loop; cat /tmp/loop/hello; umount /tmp/loop",
                 input=(tmp_path / "image").read_bytes())
    assert said == ["of an image"]


def test_a_squashfs_is_mounted(task):
    image = zlib.decompress(base64.b85decode(SQUASHFS)).ljust(4096, b"\0")
    said = shell(task, "cat > /tmp/squash; mkdir -p /tmp/squashed; mount /tmp/squash /tmp/squashed; cat /tmp/squashed/hello; "
                       "umount /tmp/squashed", input=image)
    assert said == ["of a squashfs"]


def test_the_layers_of_containers_lie_on_the_disk_itself_and_stay(task):
    """The kernel would refuse an overlay whose upper layer is on the guest's root, which is an overlay too."""
    for folder in ("containers", "containerd", "docker"):
        script = (f"cd /var/lib/{folder}; mkdir lower upper work all; echo below > lower/f; "
                  "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none all; "
                  "cat all/f; echo changed > all/f; umount all; cat upper/f lower/f")
        assert shell(task, script) == ["below", "changed", "below"], folder
    task.stop()
    assert task.exec("true").code == 0  # Says on stderr that it starts the guest again.
    assert shell(task, "cat /var/lib/*/upper/f") == ["changed"] * 3
