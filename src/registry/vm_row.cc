#include "registry/vm_row.h"

#include <array>

#include "base/try.h"
#include "registry/row_values.h"

namespace pyro::registry {
namespace {

constexpr std::array kOwners = {VmOwner::kLease, VmOwner::kRun};

std::string_view VmOwnerName(VmOwner owner) { return owner == VmOwner::kLease ? "lease" : "run"; }

}  // namespace

std::string_view ExecutionModeName(ExecutionMode mode) {
  switch (mode) {
    case ExecutionMode::kPending:
      return "pending";
    case ExecutionMode::kGuestVirtioSerial:
      return "guest_virtio_serial";
    case ExecutionMode::kGuestVsock:
      return "guest_vsock";
    case ExecutionMode::kHostCompat:
      return "host_compat";
  }
  return "";
}

Result<VmRecord> ReadVm(const db::Statement& row) {
  auto id = VmId::Parse(row.Text(0));
  if (!id) return BadRow("VM", "id", row.Text(0));
  PYRO_ASSIGN_OR_RETURN(const VmOwner owner,
                        ParseName<VmOwner>("VM", "owner", row.Text(3), kOwners, VmOwnerName));
  PYRO_ASSIGN_OR_RETURN(const VmState state,
                        ParseName<VmState>("VM", "state", row.Text(9), kStoredStates, VmStateName));
  PYRO_ASSIGN_OR_RETURN(const ExecutionMode mode,
                        ParseName<ExecutionMode>("VM", "execution mode", row.Text(10),
                                                 kExecutionModes, ExecutionModeName));
  VmRecord vm(VmSpec{.id = std::move(*id),
                     .environment = row.Text(1),
                     .environment_digest = row.Text(2),
                     .owner = owner,
                     .vcpu_count = row.Int(4),
                     .mem_mib = row.Int(5),
                     .ttl = std::chrono::seconds(row.Int(6)),
                     .network = row.Int(7) != 0,
                     .allow_host_compat = row.Int(8) != 0});
  vm.state = state;
  vm.execution_mode = mode;
  vm.accelerator = row.Text(11);
  vm.network_json = row.Text(12);
  vm.last_error = row.Text(13);
  vm.created_at = FromMs(row.Int(14));
  if (const auto started_at = row.OptionalInt(15)) vm.started_at = FromMs(*started_at);
  vm.last_used_at = FromMs(row.Int(16));
  vm.expires_at = FromMs(row.Int(17));
  return vm;
}

void BindVm(db::Statement& statement, const VmRecord& vm) {
  statement.BindText(1, vm.id.str())
      .BindText(2, vm.environment)
      .BindText(3, vm.environment_digest)
      .BindText(4, VmOwnerName(vm.owner))
      .BindInt(5, vm.vcpu_count)
      .BindInt(6, vm.mem_mib)
      .BindInt(7, vm.ttl.count())
      .BindInt(8, vm.network ? 1 : 0)
      .BindInt(9, vm.allow_host_compat ? 1 : 0)
      .BindText(10, VmStateName(vm.state))
      .BindText(11, ExecutionModeName(vm.execution_mode))
      .BindText(12, vm.accelerator)
      .BindText(13, vm.network_json)
      .BindText(14, vm.last_error)
      .BindInt(15, ToMs(vm.created_at))
      .BindInt(17, ToMs(vm.last_used_at))
      .BindInt(18, ToMs(vm.expires_at));
  if (vm.started_at) {
    statement.BindInt(16, ToMs(*vm.started_at));
  } else {
    statement.BindNull(16);
  }
}

}  // namespace pyro::registry
