"""What an idle guest holds of the host's memory."""

import re

import harness


def resident_mib(task):
    qemu = harness.of_program(task.processes(), harness.MACHINE)
    return sum(process.status("VmRSS") for process in qemu) // 1024


def test_a_guest_gives_back_what_its_commands_used(create):
    task = create()
    zones = task.exec("cat", "/proc/zoneinfo").text
    managed = sum(int(pages) for pages in re.findall(r"managed +(\d+)", zones))
    # The lists of freed pages that belong to a processor: the host gets none of these.
    kept = sum(int(pages) for pages in re.findall(r"high: +(\d+)", zones.split("pagesets", 1)[1]))
    assert 0 < kept <= managed / 128, zones
    before = resident_mib(task)
    assert task.exec("sh", "-c", "head -c 300000000 /dev/zero > /dev/shm/f").code == 0
    used = resident_mib(task)
    assert used > before + 200, (before, used)
    assert task.exec("rm", "/dev/shm/f").code == 0
    harness.wait_until(lambda: resident_mib(task) < before + 100, "its memory comes back")


@harness.only_on("usermode", "only there is memory found as it is needed, and zeroing so much is slow under TCG")
def test_a_guest_can_use_its_memory_and_gives_it_back(create):
    task = create()
    assert task.exec("true").code == 0
    before = resident_mib(task)
    # One buffer, filled with zeros.
    assert task.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=800M", "count=1").code == 0
    harness.wait_until(lambda: resident_mib(task) < before + 100, "its memory comes back")


@harness.only_on("usermode", "under QEMU the memory map is in the template, which guests share")
def test_a_guest_with_more_memory_takes_no_more_of_the_host_until_it_uses_it(create):
    small, large = create("--mem-mib", "512"), create("--mem-mib", "4096")
    for task in (small, large):
        done = task.exec("cat", "/proc/meminfo")
        assert done.code == 0
        kib = {line.split(":")[0]: int(line.split()[1]) for line in done.text.splitlines()}
        assert kib["MemFree"] > 0.9 * kib["MemTotal"] and kib["MemAvailable"] > 0.9 * kib["MemTotal"], done.text
    assert kib["MemTotal"] > 3900 * 1024
    assert resident_mib(large) < 1.5 * resident_mib(small)


@harness.only_on("qemu", "a guest in user mode is no clone of a template")
def test_clones_share_what_they_do_not_write(create):
    tasks = [create() for _ in range(3)]
    for task in tasks:
        assert task.exec("true").code == 0
    for task in tasks:
        for qemu in harness.of_program(task.processes(), harness.MACHINE):
            private = 0
            text = open(f"/proc/{qemu.pid}/smaps", encoding="utf-8").read()
            for block in text.split("VmFlags:"):
                if "memory" in block and "Private_Dirty:" in block:
                    private += int(block.split("Private_Dirty:")[1].split()[0])
            assert private < 64 * 1024, "KiB of a guest of 1024 MiB"
