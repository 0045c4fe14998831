"""Pyro: the calls, and the handles that they make."""

from __future__ import annotations

import os
from typing import Literal, Mapping, Optional, Sequence, Union

from . import _pyro
from ._api import Calls
from ._arguments import BytesCallback, Command, Descriptor, Input, OutputCallback, _text
from ._handles import Task, Vm, Watch
from ._server import Profile, Server

Machine = Literal["auto", "kvm", "tcg", "usermode"]

__all__ = ["BytesCallback", "Command", "Descriptor", "Input", "OutputCallback", "Pyro"]


class Pyro(Calls):
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

    With ``output="bytes"`` a call returns the output of commands as bytes, and gives its callbacks
    bytes. Otherwise it is text, in which bytes that are not UTF-8 are U+FFFD.

    Warnings that do not stop a call, such as a command that runs on this host, are logged to
    ``pyro_mcp``. The phases of long calls are logged there at INFO.
    """

    def __init__(self) -> None:
        self._engine = _pyro.Engine()

    def create_server(self, *, profile: Profile = "full", spares: int = 1) -> Server:
        """Returns a server of the Model Context Protocol for these calls; run() serves a client."""
        return Server(self._engine, profile, spares)

    def watch(self, id: Optional[str] = None) -> Watch:
        """Returns an iterator over what happens to VMs and tasks, by any process.

        It begins with what is there: an event ``present`` for each. ``id``: that VM or task only.
        NotFoundError: there is none.
        """
        return Watch(self._engine.watch(b"" if id is None else _text("id", id)))

    def vm(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
           ttl_seconds: int = 600, network: bool = False, allow_host_compat: bool = False,
           machine: Optional[Machine] = None, allow: Optional[Sequence[str]] = None,
           deny: Optional[Sequence[str]] = None, network_policy: Optional[str] = None,
           secrets: Optional[Sequence[str]] = None, cache: bool = False) -> Vm:
        """A started VM for a ``with`` block, which deletes it at its end."""
        made = self.create_vm(environment=environment, vcpu_count=vcpu_count, mem_mib=mem_mib,
                              ttl_seconds=ttl_seconds, network=network,
                              allow_host_compat=allow_host_compat, machine=machine, allow=allow,
                              deny=deny, network_policy=network_policy, secrets=secrets, cache=cache)
        handle = Vm(self, made["vm_id"])
        try:
            self.start_vm(handle.vm_id)
        except BaseException as error:
            handle.__exit__(type(error), error, None)
            raise
        return handle

    def task(self, *, environment: str, vcpu_count: int = 1, mem_mib: int = 1024,
             ttl_seconds: int = 600, network: bool = False, allow_host_compat: bool = False,
             disk_mib: int = 10240,
             source_path: Union[str, os.PathLike[str], None] = None,
             exclude: Optional[Sequence[str]] = None, git: bool = False,
             name: Optional[str] = None, machine: Optional[Machine] = None,
             labels: Optional[Mapping[str, str]] = None, env: Optional[Mapping[str, str]] = None,
             cwd: Optional[str] = None, user: Optional[str] = None,
             image_cwd: bool = False, timeout_seconds: Optional[int] = None,
             allow: Optional[Sequence[str]] = None, deny: Optional[Sequence[str]] = None,
             network_policy: Optional[str] = None, secrets: Optional[Sequence[str]] = None,
             cache: bool = False) -> Task:
        """A started task for a ``with`` block, which deletes it at its end."""
        made = self.create_task(environment=environment, vcpu_count=vcpu_count, mem_mib=mem_mib,
                                ttl_seconds=ttl_seconds, network=network,
                                allow_host_compat=allow_host_compat, disk_mib=disk_mib,
                                source_path=source_path, exclude=exclude, git=git, name=name, machine=machine, labels=labels,
                                env=env, cwd=cwd, user=user, image_cwd=image_cwd, timeout_seconds=timeout_seconds,
                                allow=allow, deny=deny, network_policy=network_policy, secrets=secrets, cache=cache)
        return Task(self, made["task_id"])
