// The rows of a task's network and of policies.

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr Field kTaskNetwork[] = {
    TaskIdRow<TaskNetwork>(),
    Row<TaskNetwork, &TaskNetwork::network_enabled>("network_enabled", "It can reach the outside"),
    NetworkRulesRow<TaskNetwork>(),
    Row<TaskNetwork, &TaskNetwork::denied>("denied", "What was refused in its guest's latest run"),
    Row<TaskNetwork, &TaskNetwork::ipv6_address>("ipv6_address",
                                                 "The address of IPv6 of the guest that runs")
        .NullIfUnset(),
};

constexpr Field kCheckPolicyRequest[] = {
    Row<CheckPolicyRequest, &CheckPolicyRequest::host>("host", "HOST[:PORT], a name or an address")
        .Required()
        .Positional("HOST"),
    AllowRow<CheckPolicyRequest>(),
    DenyRow<CheckPolicyRequest>(),
    NetworkPolicyRow<CheckPolicyRequest>().Option("policy"),
};

constexpr Field kPolicyAnswer[] = {
    Row<PolicyAnswer, &PolicyAnswer::host>("host", "What was asked"),
    Row<PolicyAnswer, &PolicyAnswer::allowed>("allowed", "A guest would reach it"),
    Row<PolicyAnswer, &PolicyAnswer::reason>("reason", "Why not, as a word").NullIfUnset(),
    Row<PolicyAnswer, &PolicyAnswer::why>("why", "Why not, as a clause").NullIfUnset(),
    Row<PolicyAnswer, &PolicyAnswer::rule>("rule", "What to allow to reach it; null: no rule does")
        .NullIfUnset(),
};

constexpr Field kChangeTaskNetworkRequest[] = {
    Inline<ChangeTaskNetworkRequest, TaskRequest>(),
    Row<ChangeTaskNetworkRequest, &ChangeTaskNetworkRequest::hosts>(
        "hosts", "HOST[:PORT], as --allow takes it, or @SET; repeatable")
        .Required()
        .Positional("HOST"),
};

constexpr Operation kNetworkOperations[] = {
    By<TaskRequest, &Engine::NetworkTask, &TaskRequest::task_id>({
        .name = "task network show",
        .method = "network_task",
        .effect = Effect::kReads,
        .sentence = "Show what a task may reach, and what was refused",
        .for_python = "Returns the rules of a task's network, and what was refused in its guest's "
                      "latest run.",
        .no_tool = "task_status has the rules, and each result what was refused",
    }),
    By<ChangeTaskNetworkRequest, &Engine::AllowInTask, &TaskRequest::task_id,
       &ChangeTaskNetworkRequest::hosts>({
        .name = "task network allow",
        .method = "allow_in_task",
        .effect = Effect::kChanges,
        .sentence = "Let a task reach more hosts, also while it runs",
        .for_python =
            "Lets a task reach more hosts, at once and in its later guests.\n\n"
            "What it may reach already stays allowed: a task that has no allow rule gets ``*`` "
            "first. A deny rule that is the same is taken away. InvalidArgumentError: another deny "
            "rule goes before it. WrongStateError: the task has no network.",
        .no_tool = "the user decides what a task may reach, not the model in it",
    }),
    By<ChangeTaskNetworkRequest, &Engine::DenyInTask, &TaskRequest::task_id,
       &ChangeTaskNetworkRequest::hosts>({
        .name = "task network deny",
        .method = "deny_in_task",
        .effect = Effect::kChanges,
        .sentence = "Refuse hosts to a task, also while it runs",
        .for_python =
            "Refuses hosts to a task, at once and in its later guests. Deny rules go before allow "
            "rules. Connections to these hosts end with the next bytes that the guest sends. "
            "WrongStateError: the task has no network.",
        .no_tool = "the user decides what a task may reach, not the model in it",
    }),
    By<CheckPolicyRequest, &Engine::CheckPolicy, kWhole>({
        .name = "policy check",
        .method = "check_policy",
        .effect = Effect::kReads,
        .sentence = "Tell whether a guest with these rules would reach a host",
        .for_python = "Tells whether a guest with these rules would reach a host, without one.",
        .no_tool = "a refusal says its reason, and the rule that would allow it",
    }),
};

}  // namespace

std::span<const Operation> NetworkOperations() { return kNetworkOperations; }

PYRO_ROWS(TaskNetwork, "TaskNetwork", "The network of a task's guest.", kTaskNetwork)
PYRO_ROWS(CheckPolicyRequest, "CheckPolicyRequest", "A host, and rules.", kCheckPolicyRequest)
PYRO_ROWS(PolicyAnswer, "PolicyAnswer", "Whether a connection would be allowed.", kPolicyAnswer)
PYRO_ROWS(ChangeTaskNetworkRequest, "ChangeTaskNetworkRequest", "A task, and hosts.",
          kChangeTaskNetworkRequest)

}  // namespace pyro::api
