"""What an idle guest holds of the host's memory."""

import harness


def resident_mib(task):
    qemu = harness.of_program(task.processes(), harness.MACHINE)
    return sum(process.status("VmRSS") for process in qemu) // 1024


def test_a_guest_gives_back_what_its_commands_used(create):
    task = create()
    assert task.exec("true").code == 0
    before = resident_mib(task)
    assert task.exec("sh", "-c", "head -c 300000000 /dev/zero > /dev/shm/f").code == 0
    used = resident_mib(task)
    assert used > before + 200, (before, used)
    assert task.exec("rm", "/dev/shm/f").code == 0
    harness.wait_until(lambda: resident_mib(task) < before + 100, "its memory comes back")


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
