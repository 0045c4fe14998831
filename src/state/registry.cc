#include "state/registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "base/try.h"
#include "db/migrations.h"
#include "state/disk_reserve.h"
#include "state/own_directory.h"
#include "state/rows.h"
#include "state/schema.h"
#include "sys/files.h"

namespace pyro::state {
namespace {

Error NoSuch(InstanceKind kind, std::string_view id) {
  const InstancePolicy& policy = PolicyOf(kind);
  return MakeError(ErrorCode::kNotFound, fmt::format("there is no {} '{}'", policy.thing, id),
                   std::string(policy.no_such));
}

// `text` as the beginning of an id with its prefix, which `text` may leave out.
Result<std::string> WholePrefix(InstanceKind kind, std::string_view text) {
  const std::string_view prefix = IdPrefix(kind);
  if (IsIdPrefix(text, prefix)) return std::string(text);
  std::string whole = std::string(prefix) + std::string(text.substr(0, 64));
  if (IsIdPrefix(whole, prefix)) return whole;
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is not the id of a {}", Printable(text, 64), PolicyOf(kind).thing),
      fmt::format("an id is {} and 26 characters, of which the first 6 are enough", prefix));
}

// The ids, as a part of a sentence.
std::string NameThem(const std::vector<InstanceRecord>& instances) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(instances.size(), kMost); ++i) {
    text += (i == 0 ? "" : ", ") + instances[i].id.str();
  }
  if (instances.size() > kMost) text += fmt::format(" and {} more", instances.size() - kMost);
  return text;
}

// Several instances have an id that begins with `prefix`, or `text` as their name.
Error FitsSeveral(std::string_view text, const std::vector<InstanceRecord>& by_id,
                  const std::vector<InstanceRecord>& by_name) {
  const std::string shown = Printable(text, 64);
  if (by_name.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is the beginning of {} ids", shown, by_id.size()),
                     "give more characters of the id");
  }
  if (by_id.empty()) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is the name of {} tasks: {}", shown, by_name.size(), NameThem(by_name)),
        "give the id of one of them");
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is the name of {}, and the id {} begins so", shown,
                               NameThem(by_name), NameThem(by_id)),
                   "give the whole id of one of them");
}

// Of an adopted task, after its commands.
void ResumeAfter(InstanceRecord& task, const std::vector<CommandRecord>& commands) {
  task.state = InstanceState::kStopped;
  WallTime last_used = task.created_at;
  for (const CommandRecord& command : commands) {
    last_used = std::max(last_used, command.end->ended_at);
    task.output_bytes += command.end->kept_bytes();
    task.next_sequence = command.sequence + 1;
    ++task.command_count;
    const bool allowed =
        command.execution_mode != ExecutionMode::kHostCompat || task.allow_host_compat;
    if (allowed) task.execution_mode = command.execution_mode;
  }
  BeginLease(task, last_used);
}

Status CheckAdopted(const InstanceSpec& spec, const std::vector<CommandRecord>& commands) {
  PYRO_RETURN_IF_ERROR(CheckSpec(spec));
  std::int64_t before = 0;
  for (const CommandRecord& command : commands) {
    const bool in_order = command.sequence > before && command.sequence < INT64_MAX;
    if (!in_order || !command.end || command.task_id != spec.id) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("command {} of '{}' cannot be recorded", command.sequence, spec.id.str()));
    }
    PYRO_RETURN_IF_ERROR(CheckCommandEnd(*command.end));
    before = command.sequence;
  }
  return OkStatus();
}

Result<db::Database> OpenDatabase(const std::filesystem::path& state_dir) {
  PYRO_ASSIGN_OR_RETURN(auto database, db::Database::Open(state_dir / "registry.db"));
  PYRO_RETURN_IF_ERROR(db::Migrate(database, Migrations()));
  return database;
}

}  // namespace

bool LooksLikeId(std::string_view name) {
  for (const InstanceKind kind : {InstanceKind::kTask, InstanceKind::kVm}) {
    const std::string_view prefix = IdPrefix(kind);
    if (name.starts_with(prefix)) return true;
    if (InstanceId::Parse(kind, std::string(prefix) + std::string(name.substr(0, 64)))) return true;
  }
  return false;
}

Result<Registry> Registry::Open(const std::filesystem::path& state_dir, const Clock& clock) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(state_dir));
  PYRO_RETURN_IF_ERROR(CheckOwnDirectory(state_dir));  // Another may have been quicker.
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

Result<InstanceRecord> Registry::Insert(const InstanceSpec& spec) {
  PYRO_RETURN_IF_ERROR(CheckSpec(spec));
  InstanceRecord instance(spec);
  instance.created_at = clock_->Now();
  BeginLease(instance, instance.created_at);
  PYRO_RETURN_IF_ERROR(InsertRow(instance));
  return instance;
}

Result<InstanceRecord> Registry::Adopt(InstanceRecord task,
                                       const std::vector<CommandRecord>& commands) {
  PYRO_RETURN_IF_ERROR(CheckAdopted(task, commands));
  ResumeAfter(task, commands);
  PYRO_RETURN_IF_ERROR(InTransaction([&]() -> Status {
    PYRO_RETURN_IF_ERROR(InsertRow(task));
    for (const CommandRecord& command : commands) {
      PYRO_RETURN_IF_ERROR(InsertCommandRow(command));
    }
    return OkStatus();
  }));
  return task;
}

Status Registry::InsertRow(const InstanceRecord& instance) {
  PYRO_ASSIGN_OR_RETURN(auto insert, database_.Prepare(kInsertInstance));
  BindInstance(insert, instance);
  Status status = insert.Run();
  if (status || status.error().code != ErrorCode::kAlreadyExists) return status;
  return MakeError(ErrorCode::kAlreadyExists,
                   fmt::format("there is a {} '{}' already", PolicyOf(instance.id.kind()).thing,
                               instance.id.str()),
                   "create one with another id");
}

Result<InstanceRecord> Registry::Get(const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare(kSelectInstance));
  PYRO_ASSIGN_OR_RETURN(const bool found, select.BindText(1, id.str()).Step());
  if (!found) return NoSuch(id.kind(), id.str());
  return ReadInstance(select);
}

Result<std::vector<InstanceRecord>> Registry::WithPrefix(std::string_view prefix) {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare(kSelectInstances));
  select.BindText(1, prefix);
  return ReadRows(select, &ReadInstance);
}

Result<std::vector<InstanceRecord>> Registry::List(InstanceKind kind) {
  return WithPrefix(IdPrefix(kind));
}

Result<InstanceRecord> Registry::Find(InstanceKind kind, std::string_view text) {
  const auto prefix = WholePrefix(kind, text);
  std::vector<InstanceRecord> by_id;
  if (prefix) {
    PYRO_ASSIGN_OR_RETURN(by_id, WithPrefix(*prefix));
  }
  std::vector<InstanceRecord> by_name;
  if (kind == InstanceKind::kTask && !(prefix && InstanceId::Parse(kind, *prefix))) {
    PYRO_ASSIGN_OR_RETURN(by_name, List(kind));
    std::erase_if(by_name, [&](const InstanceRecord& one) {
      return one.name != text || (by_id.size() == 1 && by_id.front().id == one.id);
    });
  }
  if (by_id.size() + by_name.size() > 1) {
    return FitsSeveral(by_name.empty() ? *prefix : text, by_id, by_name);
  }
  if (!by_id.empty()) return std::move(by_id.front());
  if (!by_name.empty()) return std::move(by_name.front());
  if (prefix) return NoSuch(kind, text);
  const bool can_be_name = !text.empty() && text.size() <= kMaxNameBytes && IsUtf8(text) &&
                           HiddenCharacter(text).empty() && !LooksLikeId(text);
  if (kind == InstanceKind::kVm || !can_be_name) return prefix.error();
  return NoSuch(kind, text);
}

Result<InstanceRecord> Registry::Change(const InstanceId& id,
                                        const std::function<Status(InstanceRecord&)>& change) {
  std::optional<InstanceRecord> changed;
  PYRO_RETURN_IF_ERROR(InTransaction([&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(changed, Get(id));
    PYRO_RETURN_IF_ERROR(change(*changed));
    return changed->state == InstanceState::kDeleted ? Remove(id) : Store(*changed);
  }));
  return std::move(*changed);
}

Result<InstanceRecord> Registry::Apply(const InstanceId& id, InstanceEvent event,
                                       const InstanceChanges& changes) {
  return Change(id, [&](InstanceRecord& instance) {
    return Advance(instance, event, changes, clock_->Now());
  });
}

Result<InstanceRecord> Registry::Configure(const InstanceId& id,
                                           const std::function<Status(InstanceSpec&)>& change) {
  return Change(id, [&](InstanceRecord& instance) -> Status {
    const auto ttl = instance.ttl;
    PYRO_RETURN_IF_ERROR(change(instance));
    if (instance.ttl != ttl) BeginLease(instance, clock_->Now());
    return CheckSpec(instance);
  });
}

Status Registry::Store(const InstanceRecord& instance) {
  PYRO_ASSIGN_OR_RETURN(auto update, database_.Prepare(kUpdateInstance));
  BindInstance(update, instance);
  return update.Run();
}

Status Registry::Remove(const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(auto remove, database_.Prepare("DELETE FROM instances WHERE id = ?1"));
  return remove.BindText(1, id.str()).Run();
}

Status Registry::Delete(const InstanceId& id) {
  const auto deleted = Apply(id, InstanceEvent::kDelete);
  if (!deleted && deleted.error().code != ErrorCode::kNotFound) return deleted.error();
  return OkStatus();
}

Result<std::set<std::string>> Registry::DigestsInUse() {
  PYRO_ASSIGN_OR_RETURN(auto select,
                        database_.Prepare("SELECT DISTINCT environment_digest FROM instances"));
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::string> digests,
                        ReadRows<std::string>(select, [](const db::Statement& row) {
                          return Result<std::string>(row.Text(0));
                        }));
  return std::set<std::string>(digests.begin(), digests.end());
}

Status Registry::InTransaction(const std::function<Status()>& body, db::Sync sync) {
  if (database_.in_transaction()) return body();
  PYRO_ASSIGN_OR_RETURN(auto transaction, db::Transaction::Begin(database_, sync));
  PYRO_RETURN_IF_ERROR(body());
  return transaction.Commit();
}

Status Registry::WithExclusive(const std::function<Status()>& body) {
  PYRO_CHECK(!database_.in_transaction());
  return InTransaction(body);
}

}  // namespace pyro::state
