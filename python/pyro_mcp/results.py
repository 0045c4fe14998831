"""The results of the calls of pyro: plain dicts, the same documents that ``pyro … --json`` prints.

Times of day are RFC 3339 in UTC. None means that a value is unknown or that an event did not happen.
"""

from __future__ import annotations

from typing import Literal, Optional, TypedDict

State = Literal["created", "started", "stopped"]
ExecutionMode = Literal["pending", "guest_virtio_serial", "guest_vsock", "host_compat"]


class Timings(TypedDict):
    """The times of a call's steps, in milliseconds from its beginning."""

    prepared_ms: Optional[int]
    supervised_ms: Optional[int]
    machine_ms: Optional[int]  # The machine runs: it boots, or its state is restored.
    ready_ms: Optional[int]
    first_output_ms: Optional[int]
    ended_ms: Optional[int]
    removed_ms: Optional[int]  # All of the VM is removed.
    start: Optional[Literal["boot", "template", "spare"]]  # None: the guest was already running.


class Explanation(TypedDict):
    """Why a command ended as it did, and what to do."""

    message: str
    hint: Optional[str]


class ExecResult(TypedDict):
    """The end of a command. A command that ran is a result, with any exit code."""

    stdout: str  # At most 1 MiB, beginning and end; bytes that are not UTF-8 are U+FFFD.
    stderr: str
    stdout_bytes: int  # In total.
    stderr_bytes: int
    stdout_truncated: bool
    stderr_truncated: bool
    exit_code: int  # As in a shell: 124 timed out, 126, 127, 128 + n.
    outcome: str  # exited, signalled, timed_out, cancelled, not_started
    duration_ms: int  # Of the command itself, measured where it ran.
    execution_mode: ExecutionMode  # How it really ran.
    environment: str
    kernel: Optional[str]
    accelerator: Optional[str]  # kvm or tcg; None on the host.
    output_left_open: bool  # Processes in the background may still print; that is not kept.
    explanation: Optional[Explanation]  # None: the outcome says it all.
    timings: Timings


class TaskExecResult(ExecResult):
    """The end of a command in a task, and its place in the journal."""

    task_id: str
    sequence: int  # From 1.
    command: list[str]
    cwd: str
    restarted: bool  # The task was stopped and was started for this command.


class VmInfo(TypedDict):
    vm_id: str
    environment: str
    state: State
    vcpu_count: int
    mem_mib: int
    ttl_seconds: int
    network_enabled: bool
    allow_host_compat: bool
    execution_mode: ExecutionMode
    accelerator: Optional[str]
    created_at: str
    expires_at: str
    last_error: Optional[str]


class VmList(TypedDict):
    count: int
    vms: list[VmInfo]


class VmNetworkInfo(TypedDict):
    """The addresses are None unless the VM is started with a network."""

    vm_id: str
    network_enabled: bool
    address: Optional[str]
    prefix_length: Optional[int]
    gateway: Optional[str]
    dns: Optional[str]
    mac: Optional[str]


class DeletedVm(TypedDict):
    vm_id: str
    deleted: Literal[True]


class ReapedVms(TypedDict):
    vm_ids: list[str]  # VMs whose lease was over or whose supervisor crashed.
    count: int
    leftovers: int  # Files and directories that belonged to no VM.


class TaskCommand(TypedDict):
    """An entry of a task's journal."""

    sequence: int
    command: list[str]
    cwd: str
    state: Literal["running", "ended"]
    outcome: Optional[str]  # As in ExecResult, or interrupted: the guest died first.
    exit_code: Optional[int]
    started_at: str
    ended_at: Optional[str]
    duration_ms: int  # Of a running command: since its start.
    timeout_seconds: int  # 0: none.
    execution_mode: ExecutionMode
    stdout_bytes: int
    stderr_bytes: int
    stdout_dropped: int  # Beyond the task's bound on output.
    stderr_dropped: int
    output_left_open: bool  # As in ExecResult, like the next.
    explanation: Optional[Explanation]


class TaskCommandInfo(TaskCommand):
    """An entry by itself."""

    task_id: str


class StartedTaskCommand(TaskCommandInfo):
    """A command that runs on without its caller."""

    environment: str
    restarted: bool  # The task was stopped and was started for this command.


class TaskCommandPage(TypedDict):
    task_id: str
    total: int  # Entries in the whole journal.
    count: int
    entries: list[TaskCommand]


class TaskOutput(TypedDict):
    """A page of one stream of one command."""

    task_id: str
    sequence: int
    state: Literal["running", "ended"]
    outcome: Optional[str]
    exit_code: Optional[int]
    stream: Literal["stdout", "stderr"]
    offset: int
    next_offset: int  # The offset of the next page.
    total_bytes: int  # In the journal until now.
    text: str
    complete: bool  # The command has ended, and no output follows next_offset.


class TaskLogEntry(TaskCommand):
    """An entry with its output: at most 1 MiB of each stream, its beginning and its end."""

    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool


class TaskLogs(TypedDict):
    task_id: str
    count: int
    entries: list[TaskLogEntry]


class Notices(TypedDict, total=False):
    """Only there if there are any."""

    notices: list[str]  # What was left out of a copy, and more that its user must know.


class TaskInfo(Notices):
    task_id: str
    environment: str
    state: State
    workspace_path: str
    vcpu_count: int
    mem_mib: int
    disk_mib: int
    disk_bytes: int  # The disk space that the task takes on this host now.
    ttl_seconds: int
    network_enabled: bool
    allow_host_compat: bool
    execution_mode: ExecutionMode
    accelerator: Optional[str]
    created_at: str
    last_used_at: str
    expires_at: str
    last_error: Optional[str]
    command_count: int
    last_command: Optional[TaskCommand]


class TaskList(TypedDict):
    count: int
    tasks: list[TaskInfo]


class DeletedTask(TypedDict):
    task_id: str
    deleted: Literal[True]


class ExportedPath(Notices):
    task_id: str
    path: str  # In the guest.
    destination: str  # On this host, absolute.
    bytes: int  # Of the file or tar, or of all files of the directory together.


class EnvironmentInfo(TypedDict):
    name: str
    description: str
    installed: bool
    broken: bool  # Installed, but damaged: pulling repairs it.
    digest: Optional[str]
    installed_at: Optional[str]
    size_bytes: int


class EnvironmentList(TypedDict):
    catalog_version: str
    environments: list[EnvironmentInfo]


class TemplateInfo(TypedDict):
    """A frozen guest that new guests start from."""

    vcpu_count: int
    mem_mib: int
    network: bool
    new_disk: bool  # True: for new guests. False: for tasks that start again, and disks of other sizes.
    size_bytes: int  # Taken on disk.
    made_at: str
    last_used_at: str


class EnvironmentDetails(EnvironmentInfo):
    catalog_version: str
    kernel_release: str
    kernel_package: str
    directory: str
    files: list[str]  # NAME SIZE SHA256
    modules: list[str]
    packages: list[str]  # NAME VERSION
    apt_sources: list[str]
    tools: list[str]  # NAME VERSION
    templates: list[TemplateInfo]


class PulledEnvironment(EnvironmentInfo):
    built: bool  # False: it was installed already.


class PrunedItem(TypedDict):
    environment: str
    what: str
    digest: Optional[str]
    bytes: int


class PrunedEnvironments(TypedDict):
    removed: list[PrunedItem]
    skipped: list[str]
    count: int
    bytes_freed: int


class SparePool(TypedDict):
    """VMs of one kind that are kept ready."""

    environment: str
    vcpu_count: int
    mem_mib: int
    network: bool
    count: int  # To be kept.
    waiting: int  # Of those, ready now.
    ttl_seconds: int
    expires_at: Optional[str]  # None: there are none.


class SparePools(TypedDict):
    pools: list[SparePool]


class DoctorCheck(TypedDict):
    name: str
    ok: bool
    required: bool
    detail: str
    fix: Optional[str]  # The command that mends it.


class DoctorKvm(TypedDict):
    exists: bool
    readable: bool
    writable: bool


class DoctorCapabilities(TypedDict):
    vm_boot: bool
    guest_exec: bool
    guest_network: bool
    host_compat: bool


class DoctorNetworking(TypedDict):
    tun: bool
    ip_forward: bool
    backend: Optional[str]


class DoctorAccelerator(TypedDict):
    name: Optional[str]  # kvm or tcg
    reason: Optional[str]


class DoctorReport(TypedDict):
    version: str
    platform: str
    runtime_ok: bool
    kvm: DoctorKvm
    environment_cache: str
    state_directory: str
    capabilities: DoctorCapabilities
    networking: DoctorNetworking
    accelerator: DoctorAccelerator
    checks: list[DoctorCheck]
    issues: list[str]  # One sentence each, with what to do.


class _EventBase(TypedDict):
    event: Literal["present", "created", "started", "command_began", "output", "command_ended",
                   "stopped", "deleted", "environments_changed"]
    at: str  # RFC 3339: when it was recorded, or else noticed.


class Event(_EventBase, total=False):
    """One thing that happened to a VM or a task, with the keys that it names."""

    id: str  # Not of environments_changed.
    state: str  # Of present.
    sequence: int  # Of command_began, output and command_ended.
    command: list[str]  # Of command_began.
    stream: Literal["stdout", "stderr"]  # Of output.
    bytes: int  # Of output: of the stream, in the journal until now.
    outcome: str  # Of command_ended, like the next.
    exit_code: int
    last_error: Optional[str]  # Of stopped: why the guest was lost, or None.
