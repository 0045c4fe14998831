// The rows of VMs, of commands, and of spares.

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr Field kExplanation[] = {
    Row<Explanation, &Explanation::message>("message", "Why the command ended so, as one sentence"),
    Row<Explanation, &Explanation::hint>("hint", "What to do").NullIfUnset(),
};

template <auto kMember>
constexpr Field Step(const char* name, const char* sentence) {
  return Row<Timings, kMember>(name, sentence).Of(Unit::kMilliseconds).NullIfUnset();
}

constexpr Field kTimings[] = {
    Step<&Timings::prepared_ms>("prepared_ms",
                                "Environment, accelerator, disk and registry are there"),
    Step<&Timings::supervised_ms>("supervised_ms", "The supervisor listens"),
    Step<&Timings::machine_ms>("machine_ms", "The machine boots, or its state is restored"),
    Step<&Timings::ready_ms>("ready_ms", "The guest takes commands"),
    Step<&Timings::first_output_ms>("first_output_ms", "The first byte of output arrived"),
    Step<&Timings::ended_ms>("ended_ms", "The command's end was reported"),
    Step<&Timings::removed_ms>("removed_ms", "All of the VM is removed"),
    Row<Timings, &Timings::start>(
        "start", "How the guest started: boot, template or spare; null if it was running")
        .OneOf("boot|template|spare")
        .NullIfUnset(),
};

constexpr Field kReachedProcess[] = {
    Row<ReachedProcess, &ReachedProcess::pid>("pid", "Its id in the guest"),
    Row<ReachedProcess, &ReachedProcess::command>(
        "command", "Its words quoted for a shell; of a kill its name alone"),
};

constexpr Field kKilledProcesses[] = {
    Row<KilledProcesses, &KilledProcesses::count>("count", "The processes that were killed"),
    Row<KilledProcesses, &KilledProcesses::gone>("gone",
                                                 "None of them is left in the command's cgroup"),
    Row<KilledProcesses, &KilledProcesses::processes>("processes", "The first 32 of them"),
};

constexpr Field kDeniedConnection[] = {
    Row<DeniedConnection, &DeniedConnection::host>("host",
                                                   "The name that led there, or the address"),
    Row<DeniedConnection, &DeniedConnection::address>("address",
                                                      "Its address; null: it came to none")
        .NullIfUnset(),
    Row<DeniedConnection, &DeniedConnection::port>("port", "Its port; null: it has none")
        .NullIfUnset(),
    Row<DeniedConnection, &DeniedConnection::protocol>("protocol", "tcp, udp, icmp, dns or other"),
    Row<DeniedConnection, &DeniedConnection::reason>("reason", "Why, as a word"),
    Row<DeniedConnection, &DeniedConnection::why>("why", "Why, as a clause"),
    Row<DeniedConnection, &DeniedConnection::rule>("rule",
                                                   "What to allow to reach it; null: no rule does")
        .NullIfUnset(),
    Row<DeniedConnection, &DeniedConnection::count>("count", "How often"),
};

constexpr Field kExecResult[] = {
    Row<ExecResult, &ExecResult::stdout_text>("stdout", "At most 1 MiB, beginning and end"),
    Row<ExecResult, &ExecResult::stderr_text>("stderr", "At most 1 MiB, beginning and end"),
    Row<ExecResult, &ExecResult::stdout_bytes>("stdout_bytes", "All bytes of stdout")
        .Of(Unit::kBytes),
    Row<ExecResult, &ExecResult::stderr_bytes>("stderr_bytes", "All bytes of stderr")
        .Of(Unit::kBytes),
    Row<ExecResult, &ExecResult::stdout_truncated>("stdout_truncated", "The middle is missing"),
    Row<ExecResult, &ExecResult::stderr_truncated>("stderr_truncated", "The middle is missing"),
    Row<ExecResult, &ExecResult::exit_code>(
        "exit_code", "As a shell reports it: 124 timed out, 126, 127, 128 and the signal"),
    Row<ExecResult, &ExecResult::outcome>("outcome",
                                          "exited, signalled, timed_out, cancelled or not_started"),
    Row<ExecResult, &ExecResult::duration_ms>("duration_ms",
                                              "Of the command itself, measured where it ran")
        .Of(Unit::kMilliseconds),
    Row<ExecResult, &ExecResult::execution_mode>("execution_mode", "How the command really ran")
        .OneOf(kModes),
    Row<ExecResult, &ExecResult::environment>("environment", "The environment of its guest"),
    Row<ExecResult, &ExecResult::kernel>("kernel", "The kernel's release where it ran")
        .NullIfUnset(),
    Row<ExecResult, &ExecResult::accelerator>("accelerator", "As machine").NullIfUnset(),
    Row<ExecResult, &ExecResult::machine>("machine", "What ran the guest; null on the host")
        .OneOf(kMachines)
        .NullIfUnset(),
    Row<ExecResult, &ExecResult::output_left_open>(
        "output_left_open", "Processes in the background still held its output at its end"),
    Row<ExecResult, &ExecResult::explanation>("explanation",
                                              "Why it ended so, if the outcome does not say it")
        .NullIfUnset(),
    Row<ExecResult, &ExecResult::killed>(
        "killed", "What its kill ended, if it timed out or was cancelled; null: none was told"),
    Row<ExecResult, &ExecResult::denied>("denied",
                                         "What was refused to the guest's network meanwhile"),
    Row<ExecResult, &ExecResult::timings>("timings",
                                          "The times of the call's steps, from its beginning"),
};

constexpr Field kVmOptions[] = {
    Row<VmOptions, &VmOptions::environment>("environment",
                                            "The guest's disk, as debian:12; see 'pyro env list'")
        .Required()
        .Positional("ENVIRONMENT")
        .ForModels("See vm_list_environments.")
        .DefaultForModels("debian:12"),
    Row<VmOptions, &VmOptions::vcpu_count>("vcpu_count", "Give N CPUs, 1 to 64")
        .In(1, kMaxVcpuCount)
        .ForModels("CPUs."),
    Row<VmOptions, &VmOptions::mem_mib>("mem_mib", "Give N MiB, from 128; units M, G, T")
        .In(kMinMemMib, kMaxMemMib)
        .Of(Unit::kMib)
        .ForModels("Memory."),
    Row<VmOptions, &VmOptions::network>("network",
                                        "Let the guest reach the outside; not by default")
        .ForModels("Internet; not later."),
    AllowRow<VmOptions>(),
    DenyRow<VmOptions>(),
    NetworkPolicyRow<VmOptions>(),
    SecretsRow<VmOptions>(),
    CacheRow<VmOptions>(),
    Row<VmOptions, &VmOptions::machine>("machine",
                                        "What runs the guest; usermode has a thinner wall")
        .ForModels("Only if asked for."),
    TtlRow<VmOptions>("Delete the VM N seconds after its last use; units s, m, h, d",
                      "Delete the VM this long after its last use."),
    HostCompatRow<VmOptions>(),
};

constexpr Field kRunRequest[] = {
    Inline<RunRequest, VmOptions>(),
    CommandRow<RunRequest>(),
    EnvRow<RunRequest>(),
    CwdRow<RunRequest>(),
    UserRow<RunRequest>(),
    TimeoutRow<RunRequest>(
        "Kill the command after N seconds, at most 7 days; 0: no limit; units s, m, h, d",
        "Kill it after this time; 0: never."),
    TtlRow<RunRequest>("Remove it after N idle seconds", "Lease; a running command counts as use."),
    HostCompatRow<RunRequest>(),
};

constexpr Field kVmRequest[] = {
    Row<VmRequest, &VmRequest::vm_id>(
        "vm_id", "The VM's id, or its first 6 characters; 'vm_' may be left out")
        .Required()
        .Positional("VM_ID")
        .ForModels("From vm_create."),
};

constexpr Field kExecVmRequest[] = {
    Inline<ExecVmRequest, VmRequest>(),
    CommandRow<ExecVmRequest>().ForModels("As in vm_run."),
    EnvRow<ExecVmRequest>(),
    CwdRow<ExecVmRequest>(),
    UserRow<ExecVmRequest>(),
    TimeoutRow<ExecVmRequest>(
        "Kill the command after N seconds, at most 7 days; 0: no limit; units s, m, h, d",
        "As in vm_run."),
};

constexpr Field kKeepSparesRequest[] = {
    Row<KeepSparesRequest, &KeepSparesRequest::environment>(
        "environment", "What to keep ready; without it, show all that is kept")
        .Required()
        .Positional("ENVIRONMENT")
        .ForModels("See vm_list_environments.")
        .DefaultForModels("debian:12"),
    Row<KeepSparesRequest, &KeepSparesRequest::count>("count",
                                                      "Keep N ready, up to 64; 0 ends them")
        .In(0, kMaxSpares)
        .ForModels("How many; 0 ends them."),
    Inline<KeepSparesRequest, VmOptions>(),
    TtlRow<KeepSparesRequest>("Remove them if none is taken for N seconds; units s, m, h, d",
                              "End them if none is taken for this long."),
    Absent("allow_host_compat"),
    Absent("allow"),
    Absent("deny"),
    Absent("network_policy"),
    Absent("secrets"),
    Absent("cache"),
};

constexpr Field kVmInfo[] = {
    Row<VmInfo, &VmInfo::vm_id>("vm_id", "The VM's id"),
    Row<VmInfo, &VmInfo::environment>("environment", "The environment that it is made of"),
    Row<VmInfo, &VmInfo::state>("state", "created, started or stopped").OneOf(kStates),
    Row<VmInfo, &VmInfo::vcpu_count>("vcpu_count", "Its CPUs"),
    Row<VmInfo, &VmInfo::mem_mib>("mem_mib", "Its memory").Of(Unit::kMib),
    Row<VmInfo, &VmInfo::ttl_seconds>("ttl_seconds", "Its lease, from the last use")
        .Of(Unit::kSeconds),
    Row<VmInfo, &VmInfo::network_enabled>("network_enabled", "It can reach the outside"),
    NetworkRulesRow<VmInfo>(),
    KeptSecretsRow<VmInfo>(),
    KeptCacheRow<VmInfo>(),
    Row<VmInfo, &VmInfo::allow_host_compat>("allow_host_compat",
                                            "If no guest can start, it runs on this host"),
    Row<VmInfo, &VmInfo::execution_mode>("execution_mode",
                                         "How it runs; pending before the first start")
        .OneOf(kModes),
    Row<VmInfo, &VmInfo::accelerator>("accelerator", "As machine, once it has started")
        .NullIfUnset(),
    Row<VmInfo, &VmInfo::machine>("machine", "What runs its guest; null if it is not known yet")
        .OneOf(kMachines)
        .NullIfUnset(),
    Row<VmInfo, &VmInfo::created_at>("created_at", "The time of its creation"),
    Row<VmInfo, &VmInfo::expires_at>("expires_at", "The end of its lease, unless it is used"),
    Row<VmInfo, &VmInfo::last_error>("last_error", "The reason for the loss of its guest")
        .NullIfUnset(),
};

constexpr Field kVmList[] = {
    Row<VmList, &VmList::vms>("vms", "All VMs").Counted(),
};

template <auto kMember>
constexpr Field Address(const char* name, const char* sentence) {
  return Row<VmNetworkInfo, kMember>(name, sentence).NullIfUnset();
}

constexpr Field kVmNetworkInfo[] = {
    Row<VmNetworkInfo, &VmNetworkInfo::vm_id>("vm_id", "The VM's id"),
    Row<VmNetworkInfo, &VmNetworkInfo::network_enabled>("network_enabled",
                                                        "It can reach the outside"),
    Address<&VmNetworkInfo::address>("address", "Its address, while it is started"),
    Address<&VmNetworkInfo::prefix_length>("prefix_length", "The length of its network's prefix"),
    Address<&VmNetworkInfo::gateway>("gateway", "The address of its gateway"),
    Address<&VmNetworkInfo::dns>("dns", "The address of its name server"),
    Address<&VmNetworkInfo::mac>("mac", "The address of its card"),
    Address<&VmNetworkInfo::ipv6_address>("ipv6_address", "Its address of IPv6, if it has one"),
    Address<&VmNetworkInfo::ipv6_gateway>("ipv6_gateway", "The IPv6 address of its gateway"),
    NetworkRulesRow<VmNetworkInfo>(),
    Row<VmNetworkInfo, &VmNetworkInfo::denied>("denied", "What was refused since its start"),
};

constexpr Field kDeletedVm[] = {
    Row<DeletedVm, &DeletedVm::vm_id>("vm_id", "The VM's whole id"),
    Row<DeletedVm, &DeletedVm::deleted>("deleted", "True"),
};

constexpr Field kReapedVms[] = {
    Row<ReapedVms, &ReapedVms::vm_ids>("vm_ids", "VMs whose lease was over, or whose guest crashed")
        .Counted(),
    Row<ReapedVms, &ReapedVms::leftovers>("leftovers",
                                          "Files and directories that belonged to no VM"),
};

constexpr Field kSparePoolInfo[] = {
    Row<SparePoolInfo, &SparePoolInfo::environment>("environment", "The environment of the VMs"),
    Row<SparePoolInfo, &SparePoolInfo::vcpu_count>("vcpu_count", "The CPUs of each"),
    Row<SparePoolInfo, &SparePoolInfo::mem_mib>("mem_mib", "The memory of each").Of(Unit::kMib),
    Row<SparePoolInfo, &SparePoolInfo::network>("network", "They can reach the outside"),
    Row<SparePoolInfo, &SparePoolInfo::machine>("machine", "What runs them")
        .OneOf(kMachines)
        .NullIfUnset(),
    Row<SparePoolInfo, &SparePoolInfo::count>("count", "The number to keep"),
    Row<SparePoolInfo, &SparePoolInfo::waiting>("waiting", "The number that is ready now"),
    Row<SparePoolInfo, &SparePoolInfo::ttl_seconds>(
        "ttl_seconds", "They are removed if none is taken for this time")
        .Of(Unit::kSeconds),
    Row<SparePoolInfo, &SparePoolInfo::expires_at>(
        "expires_at", "The time of their removal; null without spares, and for those of one server")
        .NullIfUnset(),
};

constexpr Field kSparePools[] = {
    Row<SparePools, &SparePools::pools>("pools", "One entry for each kind of VM"),
};

constexpr Operation kVmOperations[] = {
    By<RunRequest, &Engine::RunInVm, kWhole, &RunRequest::command, &RunRequest::timeout_seconds>({
        .name = "run",
        .method = "run_in_vm",
        .tool = "vm_run",
        .effect = Effect::kCreates,
        .needs = kGuest | kCommand,
        .sentence = "Run one command in a microVM of its own",
        .for_models =
            "Run one command in a new Linux VM and destroy the VM afterwards: for anything "
            "untrusted or one-off. It runs as root in an empty /workspace and sees nothing of the "
            "host. Use task_create and task_exec for several steps on the same files, for more than "
            "60 s, after which many clients give up, and for all of a long output. A non-zero "
            "exit_code is a result.",
        .for_python =
            "Runs one command in a VM of its own. The VM is deleted when this call ends in any "
            "way.\n\n"
            "Pulls the environment if it is missing. The command is killed ``timeout_seconds`` "
            "(up to 604800; 0: never) after its start: that is a result with exit code 124, not an "
            "exception. ``vcpu_count``: 1 to 64. ``mem_mib``: from 128. ``network``: outbound "
            "NAT; without it the guest has no network device. ``allow_host_compat`` weakens "
            "isolation: if no guest can start, the command runs on this host in a bubblewrap "
            "jail, and ``execution_mode`` says so. ``env``, ``cwd``, ``user``, ``stdin``, "
            "``on_stdout`` and ``on_stderr`` are those of exec_task. GuestUnavailableError: no "
            "guest could start, or it died before the command ended.",
    }),
    By<VmOptions, &Engine::CreateVm, kWhole>({
        .name = "vm create",
        .method = "create_vm",
        .tool = "vm_create",
        .effect = Effect::kCreates,
        .sentence = "Make a VM for one command, without starting it",
        .for_models =
            "Make a VM for one later command, without starting it. Rarely what you want: use "
            "vm_run or task_create. Next: vm_start.",
        .for_python =
            "Creates a VM without starting it. It is deleted ``ttl_seconds`` after its last "
            "use.",
    }),
    By<VmRequest, &Engine::StartVm, &VmRequest::vm_id>({
        .name = "vm start",
        .method = "start_vm",
        .tool = "vm_start",
        .effect = Effect::kChanges,
        .needs = kGuest,
        .sentence = "Start a VM, and wait until it takes commands",
        .for_models = "Boot a VM of vm_create until it takes commands.",
        .for_python =
            "Starts a VM, and returns once the guest takes commands. A started VM is no error.",
    }),
    By<ExecVmRequest, &Engine::ExecVm, &ExecVmRequest::vm_id, &ExecVmRequest::command,
       &ExecVmRequest::timeout_seconds>({
        .name = "vm exec",
        .method = "exec_vm",
        .tool = "vm_exec",
        .effect = Effect::kEnds,
        .needs = kGuest | kCommand,
        .sentence = "Run one command in a started VM, then delete the VM",
        .for_models =
            "Run one command in a VM of vm_start and then DELETE that VM with its disk, however "
            "the command ended. Otherwise as vm_run.",
        .for_python =
            "Runs one command in a started VM and then deletes that VM. Otherwise as run_in_vm.\n\n"
            "WrongStateError: it is not started.",
    }),
    By<VmRequest, &Engine::StopVm, &VmRequest::vm_id>({
        .name = "vm stop",
        .method = "stop_vm",
        .tool = "vm_stop",
        .effect = Effect::kEnds,
        .sentence = "Power a VM off; its disk stays until its lease ends",
        .for_models = "Power a VM off; its disk stays until its lease ends.",
        .for_python = "Powers the guest off and keeps its disk. A stopped VM is no error.",
    }),
    By<&DeletedVm::vm_id, VmRequest, &Engine::DeleteVm, &VmRequest::vm_id>({
        .name = "vm delete",
        .method = "delete_vm",
        .tool = "vm_delete",
        .effect = Effect::kEnds,
        .sentence = "Delete VMs with their disks",
        .for_models = "Delete a VM with its disk, in any state.",
        .for_python = "Deletes a VM in any state. NotFoundError: it does not exist any more.",
    }),
    By<VmRequest, &Engine::StatusVm, &VmRequest::vm_id>({
        .name = "vm status",
        .method = "status_vm",
        .tool = "vm_status",
        .effect = Effect::kReads,
        .sentence = "Show one VM",
        .for_models = "Show the state and the lease of a VM.",
    }),
    By<&VmList::vms, NoArguments, &Engine::ListVms>({
        .name = "vm list",
        .method = "list_vms",
        .tool = "vm_list",
        .effect = Effect::kReads,
        .sentence = "Show all VMs, those of 'pyro run' too",
        .for_models = "List all VMs, those of other sessions too, and the spares.",
        .for_python =
            "Returns all VMs, including those of other processes and of commands that run now.",
    }),
    By<VmRequest, &Engine::NetworkInfoVm, &VmRequest::vm_id>({
        .name = "vm network-info",
        .method = "network_info_vm",
        .tool = "vm_network_info",
        .effect = Effect::kReads,
        .sentence = "Show the addresses of a started VM",
        .for_models = "Show the addresses of a started VM with network.",
        .for_python =
            "Returns the guest's addresses, while it is started with a network, its rules and what "
            "was refused since its start.",
    }),
    By<NoArguments, &Engine::ReapExpired>({
        .name = "vm reap",
        .method = "reap_expired",
        .tool = "vm_reap_expired",
        .effect = Effect::kEnds,
        .sentence = "Remove VMs whose lease is over, and leftovers of crashes",
        .for_models =
            "Remove VMs whose lease is over and what crashes left behind. So does making a VM; "
            "tasks stay.",
        .for_python =
            "Removes VMs whose lease is over, and leftovers of crashes. Leases also end without "
            "it.",
    }),
    By<KeepSparesRequest, &Engine::KeepSpares, kWhole, &KeepSparesRequest::count>({
        .name = "warm",
        .method = "keep_spares",
        .tool = "vm_keep_spares",
        .effect = Effect::kCreates,
        .needs = kGuest,
        .sentence = "Keep microVMs waiting for 'run' and 'task create'",
        .for_models =
            "Keep started VMs waiting: vm_run or task_create with the same options takes one at "
            "once. They hold memory; vm_list shows them.",
        .for_python =
            "Keeps ``count`` VMs of this kind ready, 0 to 64; 0 ends them. A run or a new task of the "
            "same kind takes one and starts at once, and another is started in its place.\n\n"
            "Returns once they are ready. They are removed if none is used for ``ttl_seconds``. "
            "LimitExceededError: they could take more than half of the host's memory.",
    }),
    By<&SparePools::pools, NoArguments, &Engine::ListSparePools>({
        .name = "warm list",
        .method = "list_spares",
        .effect = Effect::kReads,
        .sentence = "Show the microVMs that are kept waiting",
        .for_python = "The kinds of VMs that are kept ready.",
        .command = "warm",
        .no_tool = "vm_list shows them, too",
    }),
};

}  // namespace

std::span<const Operation> VmOperations() { return kVmOperations; }

PYRO_ROWS(Explanation, "Explanation", "Why a command ended as it did, and what to do.",
          kExplanation)
PYRO_ROWS(Timings, "Timings", "The times of a call's steps; null: did not happen.", kTimings)
PYRO_ROWS(ExecResult, "ExecResult",
          "The end of a command. A command that ran is a result, with any exit code.", kExecResult)
PYRO_ROWS(ReachedProcess, "ReachedProcess", "A process that a kill or a signal reached.",
          kReachedProcess)
PYRO_ROWS(KilledProcesses, "KilledProcesses", "What the kill of a command ended.", kKilledProcesses)
PYRO_ROWS(VmOptions, "VmOptions", "The options of a VM.", kVmOptions)
PYRO_ROWS(RunRequest, "RunRequest", "A command and the VM that is made for it.", kRunRequest)
PYRO_ROWS(VmRequest, "VmRequest", "A VM.", kVmRequest)
PYRO_ROWS(ExecVmRequest, "ExecVmRequest", "A command for a VM.", kExecVmRequest)
PYRO_ROWS(KeepSparesRequest, "KeepSparesRequest", "A kind of VM, and how many to keep ready.",
          kKeepSparesRequest)
PYRO_ROWS(VmInfo, "VmInfo", "A VM.", kVmInfo)
PYRO_ROWS(VmList, "VmList", "All VMs.", kVmList)
PYRO_ROWS(VmNetworkInfo, "VmNetworkInfo",
          "The addresses of a VM; null unless it is started with a network.", kVmNetworkInfo)
PYRO_ROWS(DeniedConnection, "DeniedConnection", "What was refused to a guest's network.",
          kDeniedConnection)
PYRO_ROWS(DeletedVm, "DeletedVm", "A VM that was deleted.", kDeletedVm)
PYRO_ROWS(ReapedVms, "ReapedVms", "What was removed.", kReapedVms)
PYRO_ROWS(SparePoolInfo, "SparePool", "VMs of one kind that are kept ready.", kSparePoolInfo)
PYRO_ROWS(SparePools, "SparePools", "All kinds of VMs that are kept ready.", kSparePools)

}  // namespace pyro::api
