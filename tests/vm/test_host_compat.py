"""--allow-host-compat: only if no guest can start, only on request, and with a warning."""

import http.server
import os
import pathlib
import signal
import threading

import harness
import pytest

FLAGS = ("-q", "--allow-host-compat")


def test_without_the_flag_it_fails_and_says_why(guestless):
    done = guestless.run("echo", "on the host")
    assert (done.code, done.out) == (125, b""), done
    assert harness.is_one_sentence_and_hint(done.talk), done


def test_with_the_flag_it_runs_on_the_host_and_says_so(guestless):
    done = guestless("run", "--allow-host-compat", harness.BASE, "--", "sh", "-c",
                     "uname -r; echo err >&2; exit 6")
    assert done.code == 6, done
    assert done.text == os.uname().release + "\n"
    lines = done.talk.splitlines()
    assert "virtual machine" in lines[0] and lines[0].startswith("pyro: "), done
    assert lines[1] == "err"
    assert "execution_mode=host_compat" in lines[2]


def test_json_says_the_mode(guestless):
    done = guestless.run("echo", "x", flags=("--json", "--allow-host-compat"))
    assert done.code == 0, done
    assert done.json["execution_mode"] == "host_compat"
    assert done.json["accelerator"] is None
    assert done.json["kernel"] == os.uname().release
    assert done.json["stdout"] == "x\n"
    assert "virtual machine" in done.talk


def test_with_a_guest_the_flag_changes_nothing(pyro):
    done = pyro.run("true", flags=("--json", "--allow-host-compat"))
    assert (done.code, done.json["execution_mode"]) == (0, "guest_virtio_serial"), done
    assert done.err == b""


def test_a_usage_error_is_no_reason_to_run_on_the_host(guestless):
    done = guestless.run("echo", "x", flags=(*FLAGS, "--mem-mib", "1"))
    assert (done.code, done.out) == (125, b""), done
    done = guestless("run", *FLAGS, "no-such:1", "--", "echo", "x")
    assert (done.code, done.out) == (125, b""), done


@pytest.mark.parametrize("command, code", [
    (["no-such-program"], 127), (["/etc/passwd"], 126), (["sh", "-c", "kill -9 $$"], 137),
    (["sh", "-c", "exit 9"], 9)], ids=["127", "126", "137", "9"])
def test_exit_codes_are_those_of_a_guest(guestless, command, code):
    assert guestless.run(*command, flags=FLAGS).code == code


def test_words_stdin_and_binary_data_pass(guestless):
    done = guestless.run("printf", "%s|", "a b", "", "*", "it's", flags=FLAGS)
    assert (done.code, done.out) == (0, b"a b||*|it's|"), done
    data = os.urandom(3_000_000)
    done = guestless.run("cat", input=data, flags=FLAGS)
    assert done.code == 0 and done.out == data


def test_the_host_is_read_only_and_homes_are_hidden(guestless):
    home = os.path.expanduser("~")
    script = (f"ls -A {home} /home /root /tmp 2>/dev/null | grep -v :; "
              "for path in / /usr /etc /var; do touch $path/pyro-mark 2>/dev/null && echo wrote $path; "
              "done; touch /workspace/ok && pwd; env | grep -c PYRO; ls /proc | grep -c '^[0-9]'")
    done = guestless.run("sh", "-c", script, flags=FLAGS)
    lines = [line for line in done.text.splitlines() if line]
    assert lines[:2] == ["/workspace", "0"], done
    assert int(lines[2]) < 10, "the host's processes are seen"


def test_no_capabilities_and_no_new_privileges(guestless):
    done = guestless.run("sh", "-c", "grep -E '^Cap|NoNewPrivs' /proc/self/status", flags=FLAGS)
    fields = dict(line.split(":\t") for line in done.text.splitlines())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[kind], 16) == 0, done
    assert fields["NoNewPrivs"] == "1"  # So that no file gives any back.


def test_roots_command_is_another_user_and_reads_nothing_that_only_root_may(guestless, scratch):
    if os.geteuid() != 0:
        harness.cannot_run("only root's command becomes another user")
    secret = pathlib.Path("/etc") / f"pyro-escape-{os.getpid()}"
    secret.write_text("for root alone\n")
    secret.chmod(0o600)
    try:
        script = f"id -u; id -G; cat {secret} /etc/shadow; echo end; kill -0 {os.getpid()} && echo signalled"
        done = guestless.run("sh", "-c", script, flags=FLAGS)
    finally:
        secret.unlink()
    lines = done.text.splitlines()
    assert lines == ["65519", "65519", "end"], done
    assert done.talk.count("Permission denied") == 2, done


def test_the_network_is_not_there(guestless):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    script = f"ls /sys/class/net; cat /proc/net/dev | grep -c :; (: < /dev/tcp/127.0.0.1/{port}) && echo reached"
    done = guestless.run("bash", "-c", script, flags=FLAGS)
    server.shutdown()
    assert "reached" not in done.text, done
    assert "1\n" in done.text, done  # lo alone


def test_a_timeout_kills_the_tree(guestless):
    done = guestless.run("sh", "-c", "echo begun; trap '' TERM; sleep 100 & sleep 100",
                         flags=(*FLAGS, "--timeout-seconds", "1"))
    assert (done.code, done.out) == (124, b"begun\n"), done
    harness.expect_nothing_left(guestless)


def test_a_background_process_ends_with_the_command(guestless):
    done = guestless.run("sh", "-c", "sleep 200 & echo done",
                         flags=(*FLAGS, "--timeout-seconds", "100"))
    assert (done.code, done.out) == (0, b"done\n"), done
    harness.expect_nothing_left(guestless)


@pytest.mark.parametrize("signo, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_signal_leaves_nothing(guestless, signo, code):
    process = guestless.start_run("sh", "-c", "echo begun; exec sleep 200",
                                  flags=(*FLAGS, "--timeout-seconds", "100"))
    harness.wait_until(lambda: b"begun" in process.stdout.readline(), "it has begun")
    process.send_signal(signo)
    assert harness.finish(process).code == code
    harness.wait_until(lambda: not harness.descendants(), "its processes are gone")
    assert guestless.run("true", flags=FLAGS).code == 0  # Clears what a kill left.


def test_a_closed_stdout_ends_it(guestless):
    process = guestless.start_run("yes", flags=(*FLAGS, "--timeout-seconds", "100"))
    assert b"y\n" in process.stdout.read(2)
    process.stdout.close()
    process.stdout = None
    assert harness.finish(process).code == 141
