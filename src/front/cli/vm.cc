// pyro vm: VMs that take one command, from step to step.

#include <unistd.h>

#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/text.h"
#include "base/time.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/delete.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kWholeIds = 100;  // The columns from which the list shows whole ids.

void PrintVm(const Context&, const VmInfo& vm, bool quiet) {
  if (quiet) return;
  Print(fmt::format("VM: {}\nEnvironment: {}\nState: {}\nExecution mode: {}\n", vm.vm_id,
                    vm.environment, Name(vm.state), Name(vm.execution_mode)));
  if (!vm.machine.empty()) Print(fmt::format("Machine: {}\n", vm.machine));
  Print(fmt::format("Resources: {} vCPU / {} MiB\nNetwork: {}\nLease: until {}\n", vm.vcpu_count,
                    vm.mem_mib, vm.network_enabled ? "yes" : "no", vm.expires_at));
  for (const std::string& rule : vm.network_rules) Print(fmt::format("Rule: {}\n", rule));
  if (!vm.last_error.empty()) Print(fmt::format("Last error: {}\n", Printable(vm.last_error, 500)));
}

void PrintNewVm(const Context& context, const VmInfo& vm, bool quiet) {
  if (quiet) Print(vm.vm_id + "\n");
  PrintVm(context, vm, quiet);
}

int ExecVm(Engine& engine, const Context& context, const WordsFlags<ExecVmRequest>& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.vm_id);
  const auto result = call.RunWords(context, flags, [&](const Command& command, const CallIo& io) {
    return engine.ExecVm(flags.request.vm_id, command, flags.request.timeout_seconds, io);
  });
  if (!result) return Fail(result.error(), context);
  if (context.json) {
    PrintJson(ToJson(*result));
  } else {
    SayHowItEnded(*result, "vm-exec", flags.quiet);
  }
  return result->exit_code;
}

void PrintVms(const Context& context, const VmList& list, bool quiet) {
  if (quiet) {
    for (const VmInfo& vm : list.vms) Print(vm.vm_id + "\n");
    return;
  }
  if (list.vms.empty()) return Talk("no VMs; 'pyro vm create debian:12' makes one\n");
  const bool whole = TerminalColumns(STDOUT_FILENO, kWholeIds) >= kWholeIds;
  const bool machines = MachinesDiffer(list.vms);
  const auto machine = [&](std::string_view name) { return machines ? MachineCell(name) : ""; };
  constexpr const char* kRow = "{:<{}}  {:<15}  {:<7}  {}{:<3}  {:>4}  {:>8}  {:>6}";
  const int width = whole ? 29 : 11;
  const std::string header = fmt::format(kRow, "VM", width, "ENVIRONMENT", "STATE",
                                         machine("MACHINE"), "NET", "CPUS", "MIB", "LEASE");
  Print(Paint(STDOUT_FILENO, Colour::kBold, header) + "\n");
  const WallTime now = context.clock.Now();
  for (const VmInfo& vm : list.vms) {
    const auto end = ParseTime(vm.expires_at);
    Print(fmt::format(kRow, whole ? vm.vm_id : ShortId(vm.vm_id), width, vm.environment,
                      Name(vm.state), machine(vm.machine), vm.network_enabled ? "yes" : "no",
                      vm.vcpu_count, vm.mem_mib, end ? FormatAge(*end - now) : vm.expires_at) +
          "\n");
  }
}

void PrintVmNetwork(const Context&, const VmNetworkInfo& info, bool) {
  Print(fmt::format("VM: {}\nNetwork: {}\n", info.vm_id, info.network_enabled ? "yes" : "no"));
  for (const std::string& rule : info.network_rules) Print(fmt::format("Rule: {}\n", rule));
  Print(DeniedLines(info.denied));
  if (info.address.empty()) return;
  Print(fmt::format("Address: {}/{}\nGateway: {}\nDNS: {}\nMAC: {}\n", info.address,
                    info.prefix_length, info.gateway, info.dns, info.mac));
  if (info.ipv6_address.empty()) return Print("IPv6: no\n");
  Print(fmt::format("IPv6: {}\nIPv6 gateway: {}\n", info.ipv6_address, info.ipv6_gateway));
}

void PrintReaped(const Context&, const ReapedVms& reaped, bool quiet) {
  if (quiet) return;
  for (const std::string& id : reaped.vm_ids) Print(fmt::format("Removed VM: {}\n", id));
  Print(fmt::format("{} other leftovers removed\n", reaped.leftovers));
}

}  // namespace

void AddVm(CLI::App& app, Context& context) {
  CLI::App* vm = app.add_subcommand("vm", "VMs that take one command, step by step");
  vm->require_subcommand(1);
  vm->footer(
      "'pyro run' does all of it in one step. A VM_ID may be shortened to its first 6\n"
      "characters, with 'vm_' or without.\n\n"
      "Example:\n  pyro vm create debian:12\n\n'pyro vm COMMAND --help' tells more.");
  AddRowCommand(*vm, context,
                {.operation = "vm create",
                 .texts = {.quiet = "Print the id only",
                           .example = "id=$(pyro vm create -q debian:12)\n"
                                      "  pyro vm start -q $id\n"
                                      "  pyro vm exec $id -- git --version"},
                 .waits = true,
                 .made = "the VM was made: its id is "},
                PrintNewVm);
  AddRowCommand(*vm, context,
                {.operation = "vm start",
                 .texts = {.quiet = "Print nothing", .example = "pyro vm start $id"},
                 .waits = true},
                PrintVm);
  AddOperation(*vm, context, "vm exec",
               {.quiet = "Print no progress and no closing line",
                .example = "pyro vm exec $id -- git --version",
                .note = "The VM is deleted, however the command ends. Exit codes are those of "
                        "'pyro run'."},
               std::make_shared<WordsFlags<ExecVmRequest>>(), ExecVm);
  AddRowCommand(*vm, context,
                {.operation = "vm status", .texts = {.example = "pyro vm status $id"}}, PrintVm);
  AddRowCommand(*vm, context,
                {.operation = "vm network-info", .texts = {.example = "pyro vm network-info $id"}},
                PrintVmNetwork);
  AddRowCommand(
      *vm, context,
      {.operation = "vm list", .texts = {.quiet = "Print ids only", .example = "pyro vm list"}},
      PrintVms)
      ->alias("ls")
      ->alias("ps");
  AddRowCommand(
      *vm, context,
      {.operation = "vm stop", .texts = {.quiet = "Print nothing", .example = "pyro vm stop $id"}},
      PrintVm);
  AddDelete(*vm, context, {.noun = "VM", .tag = "vm", .value = "VM_ID"});
  AddRowCommand(*vm, context,
                {.operation = "vm reap",
                 .texts = {.quiet = "Print nothing", .example = "pyro vm reap"},
                 .reaps = false},  // So that it can say what it removed.
                PrintReaped);
}

}  // namespace pyro::cli
