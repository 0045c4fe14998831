"""What a command in a guest sees, says and returns."""

import json
import os
import pathlib
import re
import subprocess
import time

import harness
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"


def shape(value):
    if isinstance(value, dict):
        return {name: shape(below) for name, below in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return {bool: "bool", int: "int", str: "str", type(None): "null"}[type(value)]


def test_both_streams_and_the_exit_code(pyro):
    done = pyro("run", harness.FULL, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out) == (7, b"out\n"), done
    lines = done.talk.splitlines()
    assert lines[0] == "err"
    assert re.fullmatch(rf"\[run\] exit_code=7 duration_ms=\d+ environment={harness.FULL}", lines[1])
    assert len(lines) == 2  # No progress in a pipe.


def test_git_is_there(pyro):
    done = pyro.run("git", "--version", environment=harness.FULL)
    assert done.code == 0 and done.text.startswith("git version 2."), done


def test_words_are_kept_as_they_are(pyro):
    done = pyro.run("printf", "%s|", "a b", "", "*", "it's")
    assert (done.code, done.out) == (0, b"a b||*|it's|"), done
    words = ["", "-q", "--json", "--", "$HOME", "`id`", "a\nb", "\\", "\"", "é", "\t", b"\xff\xfe", ""]
    done = pyro.run("sh", "-c", 'for word; do printf "%s\\0" "$word"; done', "sh", *words)
    encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
    assert done.out == b"".join(word + b"\0" for word in encoded), done


@pytest.mark.parametrize("size", [100_000, 131_071])
def test_a_long_word_arrives_whole(pyro, size):
    done = pyro.run("sh", "-c", "printf %s \"$1\" | wc -c", "sh", "x" * size)
    assert (done.code, done.text.strip()) == (0, str(size)), done


def test_many_words_arrive(pyro):
    done = pyro.run("sh", "-c", "echo $#", "sh", *map(str, range(4000)))
    assert (done.code, done.text) == (0, "4000\n"), done


@pytest.mark.parametrize("command, code, part", [
    (["true"], 0, ""),
    (["sh", "-c", "exit 255"], 255, ""),
    (["no-such-program"], 127, "no program 'no-such-program' is in the PATH"),
    (["/no/such/program"], 127, "does not exist"),
    (["/etc"], 126, "is a directory"),
    (["/etc/passwd"], 126, "is not executable"),
    (["sh", "-c", "kill -9 $$"], 137, ""),
    (["sh", "-c", "kill -TERM $$"], 143, ""),
], ids=lambda value: "-".join(value)[-20:].replace("/", "_") if isinstance(value, list) else None)
def test_exit_codes(pyro, command, code, part):
    done = pyro.run(*command)
    assert done.code == code, done
    assert done.out == b""
    assert part in done.talk
    if not part:
        assert done.err == b"", done


def test_the_shape_of_json(pyro):
    done = pyro.run("echo", "x", flags=("--json",))
    assert done.code == 0 and done.err == b"", done
    document = done.json
    assert shape(document) == json.loads((GOLDEN / "run.json").read_text())
    assert done.text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document["stdout"] == "x\n" and document["stdout_bytes"] == 2
    assert document["command"] == ["echo", "x"]
    assert document["outcome"] == "exited"
    assert document["execution_mode"] == "guest_virtio_serial"
    assert document["environment"] == "debian:12-base"
    timings = document["timings"]
    assert timings.pop("start") in ("boot", "template")
    order = ["prepared_ms", "supervised_ms", "machine_ms", "ready_ms", "first_output_ms", "ended_ms",
             "removed_ms"]
    assert [timings[name] for name in order] == sorted(timings.values())


def test_timings_are_told_when_asked_for(pyro):
    done = pyro.run("echo", "x", flags=("-q", "--timings"))
    assert (done.code, done.text) == (0, "x\n"), done
    lines = done.talk.splitlines()
    assert lines[0] in ("[timings] start=template", "[timings] start=boot"), done
    at = [int(line.split()[0]) for line in lines[1:]]
    assert len(at) == 7 and at == sorted(at), done
    assert at == [sum(int(line.split()[2]) for line in lines[1:number + 2])
                  for number in range(7)], done


def test_json_keeps_head_and_tail_of_much_output(pyro):
    done = pyro.run("sh", "-c", "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last;"
                    "head -c 2000000 /dev/zero | tr '\\0' y >&2", flags=("--json",))
    assert done.code == 0, done
    document = done.json
    assert document["stdout_truncated"] is True and document["stderr_truncated"] is True
    assert document["stdout_bytes"] == 3000000 + len("first\n\nlast\n")
    assert document["stderr_bytes"] == 2000000
    assert document["stdout"].startswith("first\nxxx") and document["stdout"].endswith("xxx\nlast\n")
    for stream in ("stdout", "stderr"):
        kept, marks = re.subn(r"\n\[… [0-9]+ bytes left out …\]\n", "", document[stream])
        assert marks == 1 and len(kept) == 1 << 20


def test_json_of_bytes_that_are_no_text(pyro):
    done = pyro.run("printf", r"a\377\376b\000c", flags=("--json",))
    assert done.code == 0, done
    assert done.json["stdout_bytes"] == 6
    assert done.json["stdout"].startswith("a") and done.json["stdout"].endswith("c")


def test_json_of_signals_and_missing_programs(pyro):
    done = pyro.run("sh", "-c", "kill -9 $$", flags=("--json",))
    assert (done.code, done.json["exit_code"], done.json["outcome"]) == (137, 137, "signalled")
    done = pyro.run("no-such-program", flags=("--json",))
    assert (done.code, done.json["exit_code"], done.json["outcome"]) == (127, 127, "not_started")


# The guest is a machine of its own.


def test_the_guest_is_not_the_host(pyro):
    script = ("uname -r; cat /proc/1/comm; uname -n; cat /etc/machine-id; date +%s; pwd; id -u;"
              "cat /proc/sys/kernel/random/boot_id; ls /sys/class/net; nproc;"
              "grep -hE 'Sig(Blk|Ign)|0::' /proc/self/status /proc/self/cgroup")
    first, second = (pyro.run("sh", "-c", script) for _ in range(2))
    now = time.time()
    assert first.code == 0 and first.err == b"", first
    kernel, init, name, machine, clock, cwd, user, boot, devices, cpus, *process = \
        first.text.splitlines()
    assert kernel != os.uname().release and ("pyro" if harness.USERMODE else "cloud") in kernel
    assert init == "init"
    assert name.startswith("pyro-") and name != os.uname().nodename
    assert abs(int(clock) - now) < 60 + 60  # The second run lies in between.
    assert (cwd, user, devices, cpus) == ("/workspace", "0", "lo", "1")
    # The command starts in a cgroup of its own, and no signal is kept from it.
    assert [line.split()[-1].strip("0") for line in process] == ["", "", "::/pyro/other-1"], process
    other = second.text.splitlines()
    assert other[2] != name and other[3] != machine and other[7] != boot
    assert len(machine) == 32


def test_the_guests_clock_is_right(pyro):
    before = time.time()
    done = pyro.run("date", "+%s.%N")
    assert before - 2 < float(done.text) < time.time() + 2, done


def test_cpus_and_memory_are_as_asked(pyro):
    script = "nproc; sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"
    most = 1 if harness.USERMODE else 2
    small = pyro.run("sh", "-c", script, flags=("-q", "--mem-mib", "256"))
    large = pyro.run("sh", "-c", script,
                     flags=("-q", "--vcpu-count", str(most), "--mem-mib", "768"))
    cpus, kib = map(int, small.text.split())
    assert cpus == 1 and 150 * 1024 < kib <= 256 * 1024, small
    cpus, kib = map(int, large.text.split())
    assert cpus == most and 650 * 1024 < kib <= 768 * 1024, large


@harness.only_on("usermode", "guests of QEMU have more than one")
def test_more_than_the_one_cpu_of_user_mode_is_refused(pyro):
    done = pyro.run("true", flags=("-q", "--vcpu-count", "2"))
    assert (done.code, done.out) == (125, b""), done
    assert done.talk.startswith("pyro: a guest in user mode has one CPU, not 2\nhint: "), done
    harness.expect_nothing_left(pyro)


@harness.only_on("qemu", "guests in user mode see the host's processor, without its privileges")
def test_a_guest_has_no_virtualisation_of_its_own(pyro):
    flags = pyro.run("grep", "-m1", "^flags", "/proc/cpuinfo").text.split()
    assert "lm" in flags and not {"svm", "vmx", "npt", "ept"} & set(flags), flags


def test_the_least_memory_boots(pyro):
    done = pyro.run("echo", "up", flags=("-q", "--mem-mib", "128"))
    assert (done.code, done.out) == (0, b"up\n"), done


def test_the_environment_is_the_guests_own(pyro):
    done = pyro.run("env", env={"PYRO_SECRET": "from the host"})
    names = {line.split("=")[0] for line in done.text.splitlines()}
    assert {"PATH", "HOME", "LANG"} <= names
    assert "PYRO_SECRET" not in names and "PYRO_STATE_DIR" not in names
    assert "HOME=/root" in done.text.splitlines()


def test_root_and_workspace_can_be_written_and_nothing_stays(pyro):
    script = "touch /etc/mark /usr/bin/mark /workspace/mark && ls /workspace"
    for _ in range(2):
        done = pyro.run("sh", "-c", "ls /workspace /etc/mark 2>/dev/null;" + script)
        assert (done.code, done.text) == (0, "/workspace:\nmark\n"), done


def test_dev_and_tmp_are_usable(pyro):
    done = pyro.run("bash", "-c", "echo x > /dev/null && head -c 5 /dev/urandom | wc -c && "
                    "cat <(echo substituted) && echo shm > /dev/shm/a && mktemp && test -c /dev/tty "
                    "&& ls -l /dev/fd/ | wc -l")
    assert done.code == 0 and done.err == b"", done
    assert "5\nsubstituted\n" in done.text


# Ends.


def test_a_timeout_kills_the_whole_tree_and_keeps_the_output(pyro):
    done = pyro("run", "--timeout-seconds", "3", harness.FULL, "--", "sh", "-c",
                "echo begun; sleep 100 & sleep 100")
    assert (done.code, done.out) == (124, b"begun\n"), done
    assert "killed at its limit of 3 s" in done.talk
    harness.expect_nothing_left(pyro)
    done = pyro.run("sh", "-c", "echo begun; trap '' TERM; sleep 100 & sleep 100",
                    flags=("--json", "--timeout-seconds", "2"))
    assert (done.code, done.json["outcome"]) == (124, "timed_out"), done
    assert done.json["stdout"] == "begun\n"
    assert 1000 < done.json["duration_ms"] < 90000  # Of 100 s that it wanted.


def test_what_a_command_leaves_behind_does_not_delay_its_end(pyro):
    # It holds stdout and stderr, and would for much longer than the limit of the command.
    done = pyro.run("sh", "-c", "sleep 250 & echo done", flags=("-q", "--timeout-seconds", "200"))
    assert (done.code, done.out, done.err) == (0, b"done\n", b""), done
    begun = pyro.run("sh", "-c", "(setsid sh -c 'trap \"\" HUP TERM; sleep 250' &) ; exit 3",
                     flags=("--json", "--timeout-seconds", "200"))
    assert begun.code == 3 and begun.json["duration_ms"] < 100_000, begun


@pytest.mark.cost(20)
def test_twenty_runs_in_a_row(pyro):
    codes = [pyro.run("true").code for _ in range(20)]
    assert codes == [0] * 20


def test_four_runs_at_a_time(pyro):
    processes = [pyro.start_run("sh", "-c", f"echo {n}; exit {n}") for n in range(4)]
    done = [harness.finish(process) for process in processes]
    assert [one.code for one in done] == [0, 1, 2, 3], [str(one) for one in done]
    assert [one.text for one in done] == ["0\n", "1\n", "2\n", "3\n"]


def test_a_bad_environment_is_pyros_own_failure(pyro):
    done = pyro("run", "debian:11", "--", "true")
    assert done.code == 125
    assert harness.is_one_sentence_and_hint(done.talk), done


@pytest.mark.cost(60)
@harness.only_on("qemu", "an environment is built alike for all machines")
def test_the_first_use_pulls(pyro, bare):
    done = bare.run("echo", "pulled", flags=())
    assert (done.code, done.out) == (0, b"pulled\n"), done
    assert "debian:12-base [installed]" in bare("env", "list").text
    # A pipe gets no progress.
    assert b"\r" not in done.err and len(done.talk.splitlines()) == 1


@pytest.mark.cost(60)
@harness.only_on("qemu", "an environment is built alike for all machines")
def test_a_broken_install_is_repaired_by_the_first_use(bare, cache_dir):
    harness.copy_base(cache_dir, bare.cache)
    image = (bare.cache / "environments/debian-12-base/current").resolve() / "base.erofs"
    image.chmod(0o600)
    with image.open("r+b") as file:
        file.truncate(4096)
    done = bare.run("echo", "repaired")
    assert (done.code, done.out) == (0, b"repaired\n"), done


def test_a_normal_user_can_do_the_same(pyro, scratch):
    if os.geteuid() != 0:
        pytest.skip("this is what the other tests do when they are not run by root")
    # What they need to read is copied to where they may.
    own = scratch / "user"
    own.mkdir()
    subprocess.run(["cp", "-a", str(harness.BIN), str(own / "bin")], check=True)
    harness.copy_base(pyro.cache, own / "cache")
    (own / "home").mkdir()
    uid = 61000
    subprocess.run(["chown", "-R", f"{uid}:{uid}", str(own)], check=True)
    scratch.chmod(0o755)
    user = harness.Pyro(own / "state", own / "cache", own / "home")
    user.program = own / "bin/pyro"
    user.prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    done = user.run("sh", "-c", "id -u; uname -r")
    assert done.code == 0 and done.text.startswith("0\n"), done
    assert os.stat(own / "state").st_uid == uid
    harness.expect_nothing_left(user)
