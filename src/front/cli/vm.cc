// pyro vm: VMs that take one command, from step to step.

#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/age.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/closing.h"
#include "front/cli/delete.h"
#include "front/cli/fields.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kWholeIds = 100;  // The columns from which the list shows whole ids.

struct VmFlags {
  VmOptions options;
  ExecVmRequest request;
  bool quiet = false;
};

// Prints the VM in the context's form; with `quiet` only JSON. Returns the exit code.
int ShowVm(const Result<VmInfo>& vm, const Context& context, bool quiet = false) {
  if (!vm) return Fail(vm.error(), context);
  if (context.json) {
    PrintJson(ToJson(*vm));
    return kExitOk;
  }
  if (quiet) return kExitOk;
  Print(fmt::format("VM: {}\nEnvironment: {}\nState: {}\nExecution mode: {}\n", vm->vm_id,
                    vm->environment, Name(vm->state), Name(vm->execution_mode)));
  Print(fmt::format("Resources: {} vCPU / {} MiB\nNetwork: {}\nLease: until {}\n", vm->vcpu_count,
                    vm->mem_mib, vm->network_enabled ? "yes" : "no", vm->expires_at));
  if (!vm->last_error.empty()) {
    Print(fmt::format("Last error: {}\n", Printable(vm->last_error, 500)));
  }
  return kExitOk;
}

int CreateVm(Engine& engine, const Context& context, const VmFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.options.environment);
  const auto vm = call.Run([&](const CallIo& io) { return engine.CreateVm(flags.options, io); });
  if (!vm) return Fail(vm.error(), context);
  if (flags.quiet && !context.json) {
    Print(vm->vm_id + "\n");
  } else {
    (void)ShowVm(vm, context);
  }
  return CheckPrinted(context, fmt::format("the VM was made: its id is {}", vm->vm_id));
}

int StartVm(Engine& engine, const Context& context, const VmFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.vm_id);
  return ShowVm(call.Run([&](const CallIo& io) { return engine.StartVm(flags.request.vm_id, io); }),
                context, flags.quiet);
}

int ExecVm(Engine& engine, const Context& context, const VmFlags& flags) {
  Call call(StyleOf(context, flags.quiet), flags.request.vm_id);
  const auto result = call.RunWords(context, [&](const Command& command, const CallIo& io) {
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

int StopVm(Engine& engine, const Context& context, const VmFlags& flags) {
  return ShowVm(engine.StopVm(flags.request.vm_id), context, flags.quiet);
}

int ShowVmStatus(Engine& engine, const Context& context, const VmFlags& flags) {
  return ShowVm(engine.StatusVm(flags.request.vm_id), context);
}

int ListVms(Engine& engine, const Context& context, const VmFlags& flags) {
  const auto vms = engine.ListVms();
  if (!vms) return Fail(vms.error(), context);
  if (context.json) {
    PrintJson(ToJson(VmList{*vms}));
    return kExitOk;
  }
  if (flags.quiet) {
    for (const VmInfo& vm : *vms) Print(vm.vm_id + "\n");
    return kExitOk;
  }
  if (vms->empty()) {
    Talk("no VMs; 'pyro vm create debian:12' makes one\n");
    return kExitOk;
  }
  const bool whole = TerminalColumns(STDOUT_FILENO, kWholeIds) >= kWholeIds;
  constexpr const char* kRow = "{:<{}}  {:<15}  {:<7}  {:<3}  {:>4}  {:>8}  {:>6}";
  const int width = whole ? 29 : 11;
  const std::string header =
      fmt::format(kRow, "VM", width, "ENVIRONMENT", "STATE", "NET", "CPUS", "MIB", "LEASE");
  Print(Paint(STDOUT_FILENO, Colour::kBold, header) + "\n");
  const WallTime now = SystemClock().Now();
  for (const VmInfo& vm : *vms) {
    const auto end = ParseTime(vm.expires_at);
    Print(fmt::format(kRow, whole ? vm.vm_id : ShortId(vm.vm_id), width, vm.environment,
                      Name(vm.state), vm.network_enabled ? "yes" : "no", vm.vcpu_count, vm.mem_mib,
                      end ? FormatAge(*end - now) : vm.expires_at) +
          "\n");
  }
  return kExitOk;
}

int ShowVmNetwork(Engine& engine, const Context& context, const VmFlags& flags) {
  const auto info = engine.NetworkInfoVm(flags.request.vm_id);
  if (!info) return Fail(info.error(), context);
  if (context.json) {
    PrintJson(ToJson(*info));
    return kExitOk;
  }
  Print(fmt::format("VM: {}\nNetwork: {}\n", info->vm_id, info->network_enabled ? "yes" : "no"));
  if (!info->address.empty()) {
    Print(fmt::format("Address: {}/{}\nGateway: {}\nDNS: {}\nMAC: {}\n", info->address,
                      info->prefix_length, info->gateway, info->dns, info->mac));
  }
  return kExitOk;
}

int ReapVms(Engine& engine, const Context& context, const VmFlags& flags) {
  const auto reaped = engine.ReapExpired();
  if (!reaped) return Fail(reaped.error(), context);
  if (context.json) {
    PrintJson(ToJson(*reaped));
  } else if (!flags.quiet) {
    for (const std::string& id : reaped->vm_ids) Print(fmt::format("Removed VM: {}\n", id));
    Print(fmt::format("{} other leftovers removed\n", reaped->leftovers));
  }
  return kExitOk;
}

constexpr Deletable kVms = {.noun = "VM",
                            .tag = "vm",
                            .value = "VM_ID",
                            .description = "Delete VMs with their disks",
                            .remove = [](Engine& engine, const std::string& id) -> Result<Deleted> {
                              PYRO_ASSIGN_OR_RETURN(std::string whole, engine.DeleteVm(id));
                              return Deleted{std::move(whole)};
                            },
                            .list = [](Engine& engine) -> Result<std::vector<std::string>> {
                              PYRO_ASSIGN_OR_RETURN(const std::vector<VmInfo> vms,
                                                    engine.ListVms());
                              std::vector<std::string> ids;
                              for (const VmInfo& vm : vms) ids.push_back(vm.vm_id);
                              return ids;
                            }};

// A verb with --json, and with -q if `quiet` says what it does.
struct VmVerb {
  const char* name;
  const char* description;
  const char* quiet;
  int (*action)(Engine&, const Context&, const VmFlags&);
  bool takes_id = true;
};

CLI::App* AddVmVerb(CLI::App& vm, Context& context, const std::shared_ptr<VmFlags>& flags,
                    const VmVerb& verb) {
  CLI::App* command = AddCommand(vm, context, verb.name, verb.description, flags, verb.action);
  AddJson(command, context);
  if (verb.takes_id) {
    AddField(command, flags->request, "vm_id");
    command->footer(fmt::format("Example:\n  pyro vm {} $id", verb.name));
  } else {
    command->footer(fmt::format("Example:\n  pyro vm {}", verb.name));
  }
  if (verb.quiet != nullptr) command->add_flag("-q,--quiet", flags->quiet, verb.quiet);
  return command;
}

void AddVmCreate(CLI::App& vm, Context& context, const std::shared_ptr<VmFlags>& flags) {
  CLI::App* create = AddVmVerb(vm, context, flags,
                               {.name = "create",
                                .description = "Make a VM for one command, without starting it",
                                .action = CreateVm,
                                .takes_id = false});
  AddFields(create, flags->options);
  create->add_flag("-q,--quiet", flags->quiet, "Print the id only");
  create->footer(
      "Example:\n  id=$(pyro vm create -q debian:12)\n  pyro vm start -q $id\n"
      "  pyro vm exec $id -- git --version");
}

void AddVmExec(CLI::App& vm, Context& context, const std::shared_ptr<VmFlags>& flags) {
  CLI::App* exec = AddVmVerb(vm, context, flags,
                             {.name = "exec",
                              .description = "Run one command in a started VM, then delete the VM",
                              .action = ExecVm});
  AddField(exec, flags->request, "timeout_seconds");
  exec->add_flag("-q,--quiet", flags->quiet, "Print no progress and no closing line");
  exec->footer(
      "The VM is deleted, however the command ends. Exit codes are those of 'pyro run'.\n\n"
      "Example:\n  pyro vm exec $id -- git --version");
  exec->callback([&context, flags] {
    context.failure_code = kExitPyroFailed;
    context.action = [&context, flags](Engine& engine) { return ExecVm(engine, context, *flags); };
  });
}

}  // namespace

void AddVm(CLI::App& app, Context& context) {
  CLI::App* vm = app.add_subcommand("vm", "VMs that take one command, step by step");
  vm->require_subcommand(1);
  vm->footer(
      "'pyro run' does all of it in one step. A VM_ID may be shortened to its first 6\n"
      "characters, with 'vm_' or without.\n\n"
      "Example:\n  pyro vm create debian:12\n\n'pyro vm COMMAND --help' tells more.");
  const auto flags = std::make_shared<VmFlags>();
  AddVmCreate(*vm, context, flags);
  AddVmVerb(*vm, context, flags,
            {.name = "start",
             .description = "Start a VM, and wait until it takes commands",
             .quiet = "Print nothing",
             .action = StartVm});
  AddVmExec(*vm, context, flags);
  AddVmVerb(*vm, context, flags,
            {.name = "status", .description = "Show one VM", .action = ShowVmStatus});
  AddVmVerb(*vm, context, flags,
            {.name = "network-info",
             .description = "Show the addresses of a started VM",
             .action = ShowVmNetwork});
  AddVmVerb(*vm, context, flags,
            {.name = "list",
             .description = "Show all VMs, those of 'pyro run' too",
             .quiet = "Print ids only",
             .action = ListVms,
             .takes_id = false})
      ->alias("ls")
      ->alias("ps");
  AddVmVerb(*vm, context, flags,
            {.name = "stop",
             .description = "Power a VM off; its disk stays until its lease ends",
             .quiet = "Print nothing",
             .action = StopVm});
  AddDelete(*vm, context, kVms);
  CLI::App* reap =
      AddVmVerb(*vm, context, flags,
                {.name = "reap",
                 .description = "Remove VMs whose lease is over, and leftovers of crashes",
                 .quiet = "Print nothing",
                 .action = ReapVms,
                 .takes_id = false});
  reap->callback([&context, flags] {
    context.reaps = false;  // So that it can say what it removed.
    context.action = [&context, flags](Engine& engine) { return ReapVms(engine, context, *flags); };
  });
}

}  // namespace pyro::cli
