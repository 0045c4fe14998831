#include "registry/registry.h"

#include <fmt/format.h>

#include "base/try.h"
#include "db/migrations.h"
#include "registry/disk_reserve.h"
#include "registry/lifecycle.h"
#include "registry/schema.h"
#include "registry/vm_row.h"
#include "sys/files.h"

namespace pyro::registry {
namespace {

Error NoSuchVm(std::string_view id) {
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no VM '{}'", id),
                   "it was deleted, or its lease has ended; create another one");
}

Result<std::vector<VmRecord>> ReadVms(db::Statement& select) {
  std::vector<VmRecord> vms;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return vms;
    PYRO_ASSIGN_OR_RETURN(auto vm, ReadVm(select));
    vms.push_back(std::move(vm));
  }
}

Result<db::Database> OpenDatabase(const std::filesystem::path& state_dir) {
  PYRO_ASSIGN_OR_RETURN(auto database, db::Database::Open(state_dir / "registry.db"));
  PYRO_RETURN_IF_ERROR(db::Migrate(database, Migrations()));
  return database;
}

}  // namespace

Result<Registry> Registry::Open(const std::filesystem::path& state_dir, const Clock& clock) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(state_dir));
  DiskReserve reserve(state_dir);
  auto database = OpenDatabase(state_dir);
  if (!database && database.error().code == ErrorCode::kNoSpace && reserve.Release()) {
    database = OpenDatabase(state_dir);
  } else if (database) {
    (void)reserve.Fill();
  }
  if (!database) return std::move(database).error();
  return Registry(std::move(*database), clock);
}

Result<VmRecord> Registry::InsertVm(const VmSpec& spec) {
  PYRO_RETURN_IF_ERROR(CheckSizes(spec.vcpu_count, spec.mem_mib, spec.ttl, "VM"));
  VmRecord vm(spec);
  vm.created_at = clock_->Now();
  BeginLease(vm, vm.created_at);
  PYRO_ASSIGN_OR_RETURN(
      auto insert,
      database_.Prepare("INSERT INTO vms (" PYRO_VM_COLUMNS ") VALUES "
                        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
                        "?17, ?18)"));
  BindVm(insert, vm);
  if (Status status = insert.Run(); !status) {
    if (status.error().code != ErrorCode::kAlreadyExists) return status.error();
    return MakeError(ErrorCode::kAlreadyExists,
                     fmt::format("there is a VM '{}' already", vm.id.str()),
                     "create one with another id");
  }
  return vm;
}

Result<VmRecord> Registry::GetVm(const VmId& id) {
  PYRO_ASSIGN_OR_RETURN(auto select,
                        database_.Prepare("SELECT " PYRO_VM_COLUMNS " FROM vms WHERE id = ?1"));
  PYRO_ASSIGN_OR_RETURN(const bool found, select.BindText(1, id.str()).Step());
  if (!found) return NoSuchVm(id.str());
  return ReadVm(select);
}

Result<std::vector<VmRecord>> Registry::ListVms() {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare("SELECT " PYRO_VM_COLUMNS
                                                       " FROM vms ORDER BY created_at, id"));
  return ReadVms(select);
}

Result<VmRecord> Registry::FindVm(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const std::string prefix, WholePrefix(text, VmIdTag::kPrefix, "VM"));
  // The alphabet of ids ends before '{'.
  PYRO_ASSIGN_OR_RETURN(
      auto select,
      database_.Prepare("SELECT " PYRO_VM_COLUMNS " FROM vms WHERE id >= ?1 AND id < ?1 || '{'"));
  select.BindText(1, prefix);
  PYRO_ASSIGN_OR_RETURN(auto vms, ReadVms(select));
  if (vms.empty()) return NoSuchVm(prefix);
  if (vms.size() > 1) return AmbiguousPrefix(prefix, vms.size());
  return std::move(vms.front());
}

Result<VmRecord> Registry::Apply(const VmId& id, VmEvent event, const VmChanges& changes) {
  if (database_.in_transaction()) return ApplyLocked(id, event, changes);
  PYRO_ASSIGN_OR_RETURN(auto transaction, db::Transaction::Begin(database_));
  PYRO_ASSIGN_OR_RETURN(auto vm, ApplyLocked(id, event, changes));
  PYRO_RETURN_IF_ERROR(transaction.Commit());
  return vm;
}

Result<VmRecord> Registry::ApplyLocked(const VmId& id, VmEvent event, const VmChanges& changes) {
  PYRO_ASSIGN_OR_RETURN(auto vm, GetVm(id));
  PYRO_RETURN_IF_ERROR(Advance(vm, event, changes, clock_->Now()));
  if (vm.state == VmState::kDeleted) {
    PYRO_RETURN_IF_ERROR(Remove(id));
  } else {
    PYRO_RETURN_IF_ERROR(Store(vm));
  }
  return vm;
}

Status Registry::Store(const VmRecord& vm) {
  PYRO_ASSIGN_OR_RETURN(
      auto update,
      database_.Prepare("UPDATE vms SET (" PYRO_VM_COLUMNS ") = "
                        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
                        "?17, ?18) WHERE id = ?1"));
  BindVm(update, vm);
  return update.Run();
}

Status Registry::Remove(const VmId& id) {
  PYRO_ASSIGN_OR_RETURN(auto remove, database_.Prepare("DELETE FROM vms WHERE id = ?1"));
  return remove.BindText(1, id.str()).Run();
}

Status Registry::DeleteVm(const VmId& id) {
  const auto deleted = Apply(id, VmEvent::kDelete);
  if (!deleted && deleted.error().code != ErrorCode::kNotFound) return deleted.error();
  return OkStatus();
}

Result<std::vector<VmRecord>> Registry::ExpiredVms(WallTime now) {
  PYRO_ASSIGN_OR_RETURN(
      auto select, database_.Prepare("SELECT " PYRO_VM_COLUMNS " FROM vms WHERE expires_at <= ?1 "
                                     "ORDER BY expires_at, id"));
  select.BindInt(1, now.time_since_epoch().count());
  return ReadVms(select);
}

Result<std::set<std::string>> Registry::DigestsInUse() {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare("SELECT environment_digest FROM vms UNION "
                                                       "SELECT environment_digest FROM tasks"));
  std::set<std::string> digests;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return digests;
    digests.insert(select.Text(0));
  }
}

Status Registry::InTransaction(const std::function<Status()>& body) {
  return database_.in_transaction() ? body() : WithExclusive(body);
}

Status Registry::WithExclusive(const std::function<Status()>& body) {
  PYRO_ASSIGN_OR_RETURN(auto transaction, db::Transaction::Begin(database_));
  PYRO_RETURN_IF_ERROR(body());
  return transaction.Commit();
}

}  // namespace pyro::registry
