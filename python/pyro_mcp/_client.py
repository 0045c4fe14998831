"""Pyro: the calls, with their signatures and types."""

from __future__ import annotations

import codecs
import os
from typing import Callable, Literal, Optional, Protocol, Sequence, TypeVar, Union

from . import _pyro, results
from ._handles import Task, Vm, Watch
from ._server import Profile, Server
from .errors import InvalidArgumentError

# The guest's bash runs a string, or its sh if it has no bash; a list of words runs unchanged, without
# a shell.
Command = Union[str, Sequence[str]]

# Takes a piece of a command's output as it arrives. Bytes that are not UTF-8 are U+FFFD.
OutputCallback = Callable[[str], object]



class OpenFile(Protocol):
    """An open file, such as ``open()`` and ``subprocess.Popen.stdout`` return."""

    def fileno(self) -> int: ...


# An open file, or its descriptor.
Descriptor = Union[int, OpenFile]

_INT64 = 1 << 63
_Result = TypeVar("_Result")


def _int(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {type(value).__name__}, not int")
    if not -_INT64 <= value < _INT64:
        raise InvalidArgumentError(f"{name} is {value}", "give a smaller number")
    return value


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {type(value).__name__}, not a number")
    if not 0 <= value <= 604800:
        raise InvalidArgumentError(f"{name} is {value}", f"{name} takes 0 to 604800")
    return float(value)


def _not_empty(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not str")
    if not value:
        raise InvalidArgumentError(f"{name} is empty",
                                   "give it a value; an optional argument may be left out instead")
    return value


def _text(name: str, value: str) -> bytes:
    """The bytes that Python's own calls would pass to the system."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not str")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{name} cannot be written as UTF-8",
                                   "it holds a lone surrogate") from None


def _name(name: str, value: str) -> str:
    return _not_empty(name, value).encode("utf-8", "replace").decode()


def _path(name: str, value: Union[str, os.PathLike[str]]) -> bytes:
    return _text(name, _not_empty(name, os.fspath(value)))


def _descriptor(name: str, value: Optional[Descriptor]) -> int:
    if value is None:
        return -1
    if isinstance(value, bool) or not (isinstance(value, int) or hasattr(value, "fileno")):
        raise TypeError(f"{name} is {type(value).__name__}, not an open file")
    number = value if isinstance(value, int) else value.fileno()
    if number < 0:
        raise InvalidArgumentError(f"{name} is {number}", "give an open file or its descriptor")
    return number


def _patterns(exclude: Optional[Sequence[str]]) -> list[bytes]:
    if exclude is None:
        return []
    if not isinstance(exclude, Sequence) or isinstance(exclude, (str, bytes, bytearray)):
        raise TypeError(f"exclude is {type(exclude).__name__}, not a list of str")
    return [_text("a pattern of exclude", pattern) for pattern in exclude]


def _command(command: Command) -> Union[bytes, list[bytes]]:
    if isinstance(command, str):
        return _text("command", _not_empty("command", command))
    if not isinstance(command, Sequence) or isinstance(command, (bytes, bytearray)):
        raise TypeError(f"command is {type(command).__name__}, not str or a list of str")
    return [_text("a word of command", word) for word in command]


def _options(environment: str, vcpu_count: int, mem_mib: int, ttl_seconds: int, network: bool,
             allow_host_compat: bool) -> _pyro.VmOptions:
    return _pyro.VmOptions(_name("environment", environment), _int("vcpu_count", vcpu_count),
                           _int("mem_mib", mem_mib), _int("ttl_seconds", ttl_seconds),
                           bool(network), bool(allow_host_compat))


class _Decoding:
    """Turns pieces of bytes into pieces of text: a character may span two of them."""

    def __init__(self, callback: OutputCallback) -> None:
        self._callback = callback
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, piece: bytes) -> None:
        text = self._decoder.decode(piece)
        if text:
            self._callback(text)

    def finish(self) -> None:
        rest = self._decoder.decode(b"", True)
        if rest:
            self._callback(rest)


def _with_streams(call: Callable[[_pyro.Streams], _Result], stdin: Optional[Descriptor],
                  on_stdout: Optional[OutputCallback],
                  on_stderr: Optional[OutputCallback]) -> _Result:
    out = _Decoding(on_stdout) if on_stdout is not None else None
    err = _Decoding(on_stderr) if on_stderr is not None else None
    done = call(_pyro.Streams(_descriptor("stdin", stdin), out, err))
    for stream in (out, err):
        if stream is not None:
            stream.finish()
    return done


class Pyro:
    """The calls of pyro, in this process, without a daemon.

    State is in ``$PYRO_STATE_DIR`` and environments in ``$PYRO_CACHE_DIR``, read when the object is
    made. The command line and other processes see the same VMs and tasks. One object serves any
    number of threads at once. An id may be shortened to any unambiguous prefix of 6 characters or
    more after ``vm_`` or ``task_``.

    A call that fails raises a subclass of PyroError: InvalidArgumentError (it names the argument),
    NotFoundError, MissingToolError (its hint installs the program), NoSpaceError,
    PermissionDeniedError, or an error named at the call. Ctrl-C interrupts a call that waits for a
    guest and kills its command. The call then raises KeyboardInterrupt in the main thread and
    CancelledError in others; in others only if SIGINT has Python's own handler.

    Warnings that do not stop a call, such as a command that runs on this host, are logged to
    ``pyro_mcp``. The phases of long calls are logged there at INFO.
    """

    def __init__(self) -> None:
        self._engine = _pyro.Engine()

    def create_server(self, *, profile: Profile = "full") -> Server:
        """Returns a server of the Model Context Protocol for these calls; run() serves a client."""
        return Server(self._engine, profile)

    def watch(self, id: Optional[str] = None) -> Watch:
        """Returns an iterator over what happens to VMs and tasks, by any process.

        It begins with what is there: an event ``present`` for each. ``id``: that VM or task only.
        NotFoundError: there is none.
        """
        return Watch(self._engine.watch("" if id is None else _name("id", id)))

    # Environments.

    def list_environments(self) -> results.EnvironmentList:
        """Returns the catalog, and for each environment if it is installed."""
        return self._engine.list_environments()

    def pull_environment(self, environment: str) -> results.PulledEnvironment:
        """Builds and installs an environment, or repairs it. Returns at once if it is installed.

        Takes about a minute. UnavailableError: the package mirror cannot be reached.
        """
        return self._engine.pull_environment(_name("environment", environment))

    def inspect_environment(self, environment: str, *,
                            verify: bool = False) -> results.EnvironmentDetails:
        """Returns the content of an installed environment. DataLossError: it is broken; pull it again.

        ``verify`` reads every file and compares its digest."""
        return self._engine.inspect_environment(_name("environment", environment), bool(verify))

    def prune_environments(self, *, all: bool = False) -> results.PrunedEnvironments:
        """Removes broken, interrupted and superseded environments, except those that a VM or task needs.

        With ``all`` it removes installed ones too."""
        return self._engine.prune_environments(bool(all))

    # One command in a VM of its own.

    def run_in_vm(self, *, environment: str, command: Command, vcpu_count: int = 1,
                  mem_mib: int = 1024, timeout_seconds: int = 30, ttl_seconds: int = 600,
                  network: bool = False, allow_host_compat: bool = False,
                  stdin: Optional[Descriptor] = None, on_stdout: Optional[OutputCallback] = None,
                  on_stderr: Optional[OutputCallback] = None) -> results.ExecResult:
        """Runs one command in a VM of its own. The VM is deleted when this call ends in any way.

        Pulls the environment if it is missing. The command is killed ``timeout_seconds`` (1 to
        604800) after its start: that is a result with exit code 124, not an exception.
        ``vcpu_count``: 1 to 64. ``mem_mib``: from 128. ``network``: outbound NAT; without it the
        guest has no network device. ``allow_host_compat`` weakens isolation: if no guest can start,
        the command runs on this host in a bubblewrap jail, and ``execution_mode`` says so.
        ``stdin``: an open file that the command reads; without it its stdin is at its end.
        ``on_stdout`` and ``on_stderr`` get the output as it arrives, as in exec_task.
        GuestUnavailableError: no guest could start, or it died before the command ended.
        """
        options = _options(environment, vcpu_count, mem_mib, ttl_seconds, network, allow_host_compat)
        words, limit = _command(command), _int("timeout_seconds", timeout_seconds)
        return _with_streams(lambda streams: self._engine.run_in_vm(options, words, limit, streams),
                             stdin, on_stdout, on_stderr)

    # VMs that live until their one command, their lease's end or delete_vm.

    def create_vm(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
                  ttl_seconds: int = 600, network: bool = False,
                  allow_host_compat: bool = False) -> results.VmInfo:
        """Creates a VM without starting it. It is deleted ``ttl_seconds`` after its last use."""
        return self._engine.create_vm(_options(environment, vcpu_count, mem_mib, ttl_seconds,
                                               network, allow_host_compat))

    def start_vm(self, vm_id: str) -> results.VmInfo:
        """Starts a VM, and returns once the guest takes commands. A started VM is no error."""
        return self._engine.start_vm(_name("vm_id", vm_id))

    def exec_vm(self, vm_id: str, *, command: Command, timeout_seconds: int = 30,
                stdin: Optional[Descriptor] = None, on_stdout: Optional[OutputCallback] = None,
                on_stderr: Optional[OutputCallback] = None) -> results.ExecResult:
        """Runs one command in a started VM and then deletes that VM. Otherwise as run_in_vm.

        WrongStateError: it is not started.
        """
        name, words = _name("vm_id", vm_id), _command(command)
        limit = _int("timeout_seconds", timeout_seconds)
        return _with_streams(lambda streams: self._engine.exec_vm(name, words, limit, streams),
                             stdin, on_stdout, on_stderr)

    def stop_vm(self, vm_id: str) -> results.VmInfo:
        """Powers the guest off and keeps its disk. A stopped VM is no error."""
        return self._engine.stop_vm(_name("vm_id", vm_id))

    def delete_vm(self, vm_id: str) -> results.DeletedVm:
        """Deletes a VM in any state. NotFoundError: it does not exist any more."""
        return self._engine.delete_vm(_name("vm_id", vm_id))

    def status_vm(self, vm_id: str) -> results.VmInfo:
        return self._engine.status_vm(_name("vm_id", vm_id))

    def list_vms(self) -> results.VmList:
        """Returns all VMs, including those of other processes and of commands that run now."""
        return self._engine.list_vms()

    def network_info_vm(self, vm_id: str) -> results.VmNetworkInfo:
        """Returns the guest's addresses, while it is started with a network."""
        return self._engine.network_info_vm(_name("vm_id", vm_id))

    # Spares: VMs that are up already, for run_in_vm to take.

    def keep_spares(self, *, environment: str, count: int = 1, vcpu_count: int = 1,
                    mem_mib: int = 1024, ttl_seconds: int = 3600,
                    network: bool = False) -> results.SparePool:
        """Keeps ``count`` VMs of this kind ready, 0 to 64; 0 ends them. A run of the same kind takes
        one and starts at once, and another is started in its place.

        Returns once they are ready. They are removed if none is used for ``ttl_seconds``.
        LimitExceededError: they could take more than half of the host's memory.
        """
        options = _options(environment, vcpu_count, mem_mib, ttl_seconds, network, False)
        return self._engine.keep_spares(options, _int("count", count))

    def list_spares(self) -> results.SparePools:
        """The kinds of VMs that are kept ready."""
        return self._engine.list_spares()

    def doctor(self) -> results.DoctorReport:
        """Finds out what works on this host, with a remedy for what does not. Takes seconds the first
        time."""
        return self._engine.doctor()

    def reap_expired(self) -> results.ReapedVms:
        """Removes VMs whose lease is over, and leftovers of crashes. Leases also end without it."""
        return self._engine.reap_expired()

    def vm(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
           ttl_seconds: int = 600, network: bool = False, allow_host_compat: bool = False) -> Vm:
        """A started VM for a ``with`` block, which deletes it at its end."""
        made = self.create_vm(environment=environment, vcpu_count=vcpu_count, mem_mib=mem_mib,
                              ttl_seconds=ttl_seconds, network=network,
                              allow_host_compat=allow_host_compat)
        handle = Vm(self, made["vm_id"])
        try:
            self.start_vm(handle.vm_id)
        except BaseException as error:
            handle.__exit__(type(error), error, None)
            raise
        return handle

    # Tasks: a workspace and a journal that stay until delete_task.

    def create_task(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
                    ttl_seconds: int = 600, network: bool = False, allow_host_compat: bool = False,
                    disk_mib: int = 10240,
                    source_path: Union[str, os.PathLike[str], None] = None,
                    exclude: Optional[Sequence[str]] = None,
                    git: bool = False) -> results.TaskInfo:
        """Makes a task and starts its guest.

        The guest is stopped ``ttl_seconds`` after its last use; workspace and journal stay, and the
        next command starts it again. ``disk_mib``: the bound of its disk, from 256; the host pays for
        what is written. ``source_path``: a directory or a tar archive to fill /workspace with.
        ``exclude``: patterns of what of it is left out, such as ``*.o`` or ``/build``. ``git``: take
        what git sees of the directory, which is no ignored file, but .git. ``notices`` of the result
        name what was left out unasked. MissingToolError: there is no git here.
        """
        options = _options(environment, vcpu_count, mem_mib, ttl_seconds, network, allow_host_compat)
        source = b"" if source_path is None else _path("source_path", source_path)
        return self._engine.create_task(options, _int("disk_mib", disk_mib), source,
                                        _patterns(exclude), bool(git))

    def exec_task(self, task_id: str, *, command: Command, timeout_seconds: int = 30,
                  stdin: Optional[Descriptor] = None, on_stdout: Optional[OutputCallback] = None,
                  on_stderr: Optional[OutputCallback] = None) -> results.TaskExecResult:
        """Runs a command in the task's /workspace; the task stays.

        When this returns, the command's files are on disk, and its words, output and end are in the
        journal. ``stdin``: an open file that the command reads. ``on_stdout`` and ``on_stderr`` get the output as it arrives, on the calling thread;
        the result holds it too. If one of them raises, the command is killed and this call raises
        that exception. LimitExceededError: 256 commands already run in the task.
        """
        name, words = _name("task_id", task_id), _command(command)
        limit = _int("timeout_seconds", timeout_seconds)
        return _with_streams(lambda streams: self._engine.exec_task(name, words, limit, streams),
                             stdin, on_stdout, on_stderr)

    def start_task_command(self, task_id: str, *, command: Command,
                           timeout_seconds: Optional[int] = None) -> results.StartedTaskCommand:
        """As exec_task, but returns once the command is recorded. The command goes on without a
        caller, to its end, or to its timeout if one is given. The calls below take its ``sequence``.
        """
        limit = 0 if timeout_seconds is None else _int("timeout_seconds", timeout_seconds)
        if limit < 1 and timeout_seconds is not None:
            raise InvalidArgumentError(f"timeout_seconds is {limit}",
                                       "give 1 to 604800, or None for no limit")
        return self._engine.start_task_command(_name("task_id", task_id), _command(command), limit)

    def cancel_task_command(self, task_id: str, sequence: int) -> results.TaskCommandInfo:
        """Kills a running command of any caller, with every process that it started. A command that
        has ended does not change."""
        return self._engine.cancel_task_command(_name("task_id", task_id),
                                                _int("sequence", sequence))

    def get_task_command(self, task_id: str, sequence: int, *,
                         wait_seconds: float = 0) -> results.TaskCommandInfo:
        """Returns one entry of the journal, after waiting up to ``wait_seconds`` for its end."""
        return self._engine.get_task_command(_name("task_id", task_id), _int("sequence", sequence),
                                             _seconds("wait_seconds", wait_seconds))

    def list_task_commands(self, task_id: str, *, first: int = 1,
                           limit: int = 0) -> results.TaskCommandPage:
        """Returns entries of the journal without their output, from ``first`` on. ``limit``: their
        greatest number; 0 for all. A negative ``limit`` of -N returns the last N."""
        return self._engine.list_task_commands(_name("task_id", task_id), _int("first", first),
                                               _int("limit", limit))

    def read_task_output(self, task_id: str, sequence: int, *,
                         stream: Literal["stdout", "stderr"] = "stdout", offset: int = 0,
                         limit: int = 1048576, wait_seconds: float = 0) -> results.TaskOutput:
        """Returns up to ``limit`` bytes (1 to 1048576) of a command's output from ``offset`` on.

        Waits up to ``wait_seconds`` for output or for the command's end. Continue at
        ``next_offset`` until ``complete``."""
        if stream not in ("stdout", "stderr"):
            raise InvalidArgumentError(f"stream is {stream!r}", "give stdout or stderr")
        if _int("offset", offset) < 0:
            raise InvalidArgumentError(f"offset is {offset}", "the first byte has offset 0")
        return self._engine.read_task_output(_name("task_id", task_id), _int("sequence", sequence),
                                             stream == "stderr", offset, _int("limit", limit),
                                             _seconds("wait_seconds", wait_seconds))

    def read_task_command(self, task_id: str, sequence: int, *, follow: bool = False,
                          on_stdout: Optional[OutputCallback] = None,
                          on_stderr: Optional[OutputCallback] = None) -> results.TaskCommand:
        """One entry of the journal, its whole output given to the callbacks in pieces; with
        ``follow`` until the command has ended. An exception of a callback leaves this call, and the
        command goes on."""
        name, number = _name("task_id", task_id), _int("sequence", sequence)
        return _with_streams(
            lambda streams: self._engine.read_task_command(name, number, bool(follow), streams),
            None, on_stdout, on_stderr)

    def status_task(self, task_id: str) -> results.TaskInfo:
        return self._engine.status_task(_name("task_id", task_id))

    def list_tasks(self) -> results.TaskList:
        """Returns all tasks, including those of other processes."""
        return self._engine.list_tasks()

    def logs_task(self, task_id: str, *, first: int = 1, limit: int = 0) -> results.TaskLogs:
        """Returns the journal: every command with its output. ``first`` and ``limit`` are those of
        list_task_commands."""
        return self._engine.logs_task(_name("task_id", task_id), _int("first", first),
                                      _int("limit", limit))

    def stop_task(self, task_id: str) -> results.TaskInfo:
        """Powers the guest off and interrupts running commands. The next exec starts it again."""
        return self._engine.stop_task(_name("task_id", task_id))

    def delete_task(self, task_id: str) -> results.DeletedTask:
        """Deletes a task with its workspace and journal. A task that does not exist counts as deleted
        if the id is whole."""
        return self._engine.delete_task(_name("task_id", task_id))

    def export_task(self, task_id: str, *, path: str,
                    destination: Union[str, os.PathLike[str], Descriptor],
                    force: bool = False) -> results.ExportedPath:
        """Copies a path of the guest, relative ones from /workspace, to this host.

        A directory becomes a new one or fills an empty one; a file goes into a directory that is
        there. A ``destination`` with the name of a tar archive, such as x.tar.gz, becomes one. An
        open file gets a file's bytes, or a tar of a directory.
        ``force`` replaces a regular file; otherwise AlreadyExistsError. ``notices`` of the result
        name what was left out. Starts a stopped guest.
        """
        if isinstance(destination, (str, os.PathLike)):
            place, out_fd = _path("destination", destination), -1
        else:
            place, out_fd = b"", _descriptor("destination", destination)
        return self._engine.export_task(_name("task_id", task_id),
                                        _text("path", _not_empty("path", path)), place,
                                        bool(force), out_fd)

    def task(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
             ttl_seconds: int = 600, network: bool = False, allow_host_compat: bool = False,
             disk_mib: int = 10240,
             source_path: Union[str, os.PathLike[str], None] = None,
             exclude: Optional[Sequence[str]] = None, git: bool = False) -> Task:
        """A started task for a ``with`` block, which deletes it at its end."""
        made = self.create_task(environment=environment, vcpu_count=vcpu_count, mem_mib=mem_mib,
                                ttl_seconds=ttl_seconds, network=network,
                                allow_host_compat=allow_host_compat, disk_mib=disk_mib,
                                source_path=source_path, exclude=exclude, git=git)
        return Task(self, made["task_id"])
