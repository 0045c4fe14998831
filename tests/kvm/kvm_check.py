#!/usr/bin/env python3
"""Runs pyro's own tests on a real KVM: `make kvm-check`.

QEMU emulates a machine with AMD-V. The stock Debian in it, the outer machine, has a /dev/kvm, and pyro's guests run on that. The outer
machine boots once and is kept as a snapshot. From it another one is made, in which pyro is installed and has its templates; it
is made again when pyro changes. What each step does in there is in inside.py. It proves function and not speed, and nothing about Intel's side of KVM.

The step `here` needs none of that: it counts the verdicts on this host. All that is printed is also in the file log of the work directory. When the
check ends, also by Ctrl-C or by a signal, the outer machine ends with it.
"""

import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BASE = "environments/debian-12-base"
TESTS = (ROOT, ("tests",))
PROGRAMS = ("pyro", "pyro-agent", "pyro-net", "pyro-proxy", "pyro-supervisor")
CPU = "EPYC,+svm,+npt"
KERNEL = ("console=ttyS0 root=/dev/vda ro init=/sbin/outer-init mitigations=off tsc=reliable no_timer_check net.ifnames=0 quiet")
BOOT_SECONDS = 900  # A quiet host takes about 15.


log = sys.stderr  # Until there is a work directory.


def show(line):
    for where in (sys.stdout, log):
        print(line, file=where, flush=True)


def say(text):
    show(f"kvm-check: {time.strftime('%H:%M:%S')} {text}")


def fail(text):
    say(text)
    sys.exit(1)


def run(words, **options):
    """Shows what a program writes, and returns its exit code. Both end together, as does anything that the program has started."""
    # A group of its own: a signal to this process alone would leave a script's children behind.
    process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, **options)
    try:
        for line in process.stdout:
            show(line.rstrip("\n"))
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


def version_of(qemu):
    text = subprocess.run([*qemu, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return tuple(map(int, re.match(r"QEMU emulator version (\d+)\.(\d+)", text).groups()))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Outer:
    """The outer machine. Leaving it ends it."""

    def __init__(self, work, memory, snapshot):
        self.work = work
        self.port = free_port()
        self.environment = dict(os.environ)
        self.qemu = ["qemu-system-x86_64"]
        unpacked = work / "qemu/usr"
        if (work / "qemu/.complete").exists():  # build_outer.sh may have been killed before.
            self.qemu = [unpacked / "bin/qemu-system-x86_64", "-L", unpacked / "share/qemu", "-L", unpacked / "share/seabios"]
            self.environment["QEMU_MODULE_DIR"] = str(unpacked / "lib/x86_64-linux-gnu/qemu")
        self.arguments = [
            "setpriv", "--pdeathsig", "KILL", *self.qemu, "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-m", f"{memory}M",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-kernel", work / "vmlinuz", "-initrd", work / "initrd.img", "-append", KERNEL,
            "-chardev", f"file,id=console,path={work / 'console'}", "-serial", "chardev:console",
            "-qmp", f"unix:{work / 'qmp'},server=on,wait=off",
            "-drive", f"file={work / 'root.qcow2'},if=virtio,format=qcow2,cache=unsafe,discard=unmap",
            # A connection to that address in there reads the file: much quicker than by ssh, which encrypts.
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22,guestfwd=tcp:10.0.2.9:1-cmd:cat {work / 'load.tar'}",
            "-device", "virtio-net-pci,netdev=net,romfile=", "-object", "rng-random,id=rng,filename=/dev/urandom",
            "-device", "virtio-rng-pci,rng=rng"]
        if snapshot:
            self.arguments += ["-loadvm", snapshot]

    def __enter__(self):
        started = time.monotonic()
        with open(self.work / "qemu.log", "wb") as log:
            self.process = subprocess.Popen(self.arguments, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while self.ssh("root", f"date -u -s @{time.time():.3f}", quiet=True, seconds=90) != 0:
                if self.process.poll() is not None or time.monotonic() - started > BOOT_SECONDS:
                    fail(f"the outer machine does not answer; see {self.work}/console and qemu.log")
                time.sleep(1)
        except BaseException:
            self.__exit__()
            raise
        say(f"the outer machine answers after {time.monotonic() - started:.0f} s")
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()

    def ssh(self, user, command, quiet=False, seconds=3600):
        """Returns the exit code, or 124 after that time."""
        words = ["timeout", str(seconds), "ssh", "-q", "-i", self.work / "key", "-p", str(self.port), "-o", "StrictHostKeyChecking=no",
                 "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/dev/null", "-o", f"ConnectTimeout={min(seconds, 60)}",
                 f"{user}@127.0.0.1", command]
        if quiet:
            return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        return run(words)

    def must(self, user, command, **options):
        if self.ssh(user, command, **options) != 0:
            fail(f"failed in the outer machine: {command}")

    def put(self, *what):
        """Puts files into /opt/pyro. `what` has pairs of a directory and names in it."""
        words = [word for directory, names in what for word in ("-C", directory, *names)]
        subprocess.run(["tar", "--sparse", "--exclude=__pycache__", "-cf", self.work / "load.tar", *words], check=True)
        self.must("root", "bash -c 'mkdir -p /opt/pyro && tar -C /opt/pyro --no-same-owner -xpf - </dev/tcp/10.0.2.9/1'")

    def keep(self, snapshot, key):
        """Makes a snapshot, which is good as long as its key is the same."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(600)
            link.connect(str(self.work / "qmp"))
            lines = link.makefile("rw")
            lines.readline()
            for execute, arguments in (("qmp_capabilities", {}), ("human-monitor-command", {"command-line": f"savevm {snapshot}"})):
                lines.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
                lines.flush()
                answer = {}
                while not {"return", "error"} & set(answer):
                    answer = json.loads(lines.readline())
        if answer.get("return") != "":
            fail(f"no snapshot: {answer}")
        (self.work / snapshot).write_text(key)


def digest(paths):
    whole = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                whole.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return whole.hexdigest()


def installed(cache):
    """The names in the cache of what pyro starts in BASE."""
    directory = cache / BASE
    build = os.readlink(directory / "current")
    return [f"{BASE}/{name}" for name in ("current", "agent.sha256", build, *(one.name for one in directory.glob(f"{build}.*")))]


def fill(outer, binaries, cache):
    """pyro and its environments, for both users, and the templates."""
    say("puts pyro and an environment into it, and makes the templates")
    outer.put((binaries, PROGRAMS), TESTS, (cache, ("blank", *installed(cache))))
    for user, home, source in (("alice", "/home/alice", "/opt/pyro/{environments,blank}"), ("root", "/root", "/home/alice/cache/.")):
        outer.must("root", f"bash -c 'cp -a --sparse=always {source} {home}/cache && chown -R {user}: {home}/cache'")
        outer.must(user, "python3 -B /opt/pyro/tests/kvm/inside.py templates")  # root's are there by now.


def here(args, cache):
    """Verdicts on this host."""
    environment = dict(os.environ, PYRO_TEST_BIN=str(args.bin.resolve()), PYRO_TEST_CACHE=str(cache), PYRO_STATE_DIR=str(args.work / "state"))
    say(f"verdicts on this host, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    return run([sys.executable, "-B", HERE / "inside.py", "here", str(args.verdicts)], env=environment)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/kvm-check")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/test-cache", help="with debian:12-base, the environment of the tests")
    parser.add_argument("--verdicts", type=int, default=10, help="verdicts for each number of busy loops")
    parser.add_argument("--memory", type=int, default=5120, help="MiB of the outer machine; spares may take half of it")
    parser.add_argument("--user", choices=("alice", "root"), action="append", help="as whom pyro runs; both if none is named")
    parser.add_argument("--only", help="expression of pytest's -k that chooses among the tests")
    parser.add_argument("steps", nargs="*", help="verdicts, times and tests, those in the outer machine; or here")
    args = parser.parse_args()
    if unknown := set(args.steps) - {"verdicts", "times", "tests", "here"}:
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    args.work = work = args.work.resolve()
    cache = args.cache.resolve()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *unused: sys.exit("kvm-check: stopped"))
    work.mkdir(parents=True, exist_ok=True)
    global log
    log = open(work / "log", "a")
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"kvm-check: another one runs in {work}")
    log.truncate(0)
    begun = time.monotonic()
    if "here" in args.steps:
        args.steps.remove("here")
        if here(args, cache) != 0:
            fail("FAILED: verdicts on this host")
        if not args.steps:
            return say("all passed")
    if run([HERE / "build_outer.sh", work]) != 0:
        fail("there is no outer machine")
    keys = {"booted": f"{digest([work / 'root.img'])} {args.memory}"}
    keys["ready"] = keys["booted"] + digest([*(cache / name for name in installed(cache)), *(args.bin / name for name in PROGRAMS)])
    good = [name for name, key in keys.items() if (work / name).exists() and (work / name).read_text() == key]
    if "booted" not in good:
        good = []
        for old in ("booted", "ready", "root.qcow2"):
            (work / old).unlink(missing_ok=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", work / "root.img", "-F", "raw", work / "root.qcow2"], check=True)
    if "ready" not in good:
        with Outer(work, args.memory, "booted" if good else None) as outer:
            say(f"QEMU {'.'.join(map(str, version_of(outer.qemu)))}, {CPU}, two processors")
            if not good:
                outer.keep("booted", keys["booted"])
            fill(outer, args.bin, cache)
            outer.keep("ready", keys["ready"])
    failed = []
    with Outer(work, args.memory, "ready") as outer:
        outer.put(TESTS)
        # A user of the device's group, and then root where only root may open it.
        for user, mode in (("alice", "root:kvm 0660"), ("root", "root:root 0600")):
            if args.user and user not in args.user:
                continue
            owner, bits = mode.split()
            outer.must("root", f"chown {owner} /dev/kvm && chmod {bits} /dev/kvm")
            for step in args.steps or (("times", "tests", "verdicts") if user == "root" else ("times", "tests")):
                say(f"{step}, as {user}; /dev/kvm is {mode}; load of this host {os.getloadavg()[0]:.1f}")
                started = time.monotonic()
                more = {"verdicts": str(args.verdicts), "tests": shlex.quote(args.only) if args.only else ""}.get(step, "")
                code = outer.ssh(user, f"python3 -B /opt/pyro/tests/kvm/inside.py {step} {more}", seconds=7200)
                say(f"{step}, as {user}: {'passed' if code == 0 else f'FAILED ({code})'} after {time.monotonic() - started:.0f} s")
                if code != 0:
                    failed.append(f"{step} as {user}")
        console = (work / "console").read_text(errors="replace")
        failed += [f"the outer kernel says: {line}" for line in console.splitlines() if re.search(r"\bBUG\b|Oops|soft lockup", line)][:3]
    if failed:
        fail("FAILED: " + "; ".join(failed))
    say(f"all passed, after {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
