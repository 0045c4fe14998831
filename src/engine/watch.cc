// Engine::Watch: tells what happens to VMs and tasks by comparing what is recorded with what was
// told. inotify says when to compare, and what.

#include "pyro/watch.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/environments.h"
#include "engine/instance/instance_events.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "engine/state_watch.h"
#include "sys/wait_for.h"

namespace pyro {
namespace engine {
namespace {

using state::InstanceRecord;
using state::Registry;
using std::chrono::milliseconds;

// After a change, for those that come with it: a command that writes line by line is one look.
constexpr milliseconds kGather{20};
// A dead supervisor's files are closed a moment before its lock is free.
constexpr milliseconds kSecondLook{200};

Error NoInstance(const std::string& text) {
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("there is no VM or task '{}'", Printable(text, 64)),
                   "it was deleted, or its lease has ended");
}

// The VM or the task whose id begins so, or the task of this name.
Result<std::string> FindId(Registry& registry, const std::string& text) {
  for (const InstanceKind kind : {InstanceKind::kTask, InstanceKind::kVm}) {
    if (!text.starts_with(IdPrefix(kind))) continue;
    PYRO_ASSIGN_OR_RETURN(const InstanceRecord instance, registry.Find(kind, text));
    return instance.id.str();
  }
  const auto task = registry.Find(InstanceKind::kTask, text);
  const auto vm = registry.Find(InstanceKind::kVm, text);
  if (!task && task.error().code != ErrorCode::kNotFound) return task.error();
  // What can only be a name is none of a VM.
  const std::string_view prefix = IdPrefix(InstanceKind::kVm);
  const bool can_be_vm = IsIdPrefix(std::string(prefix) + text, prefix);
  if (!vm && can_be_vm && vm.error().code != ErrorCode::kNotFound) return vm.error();
  if (task && vm) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' fits a VM and a task", Printable(text, 64)),
                     "put vm_ or task_ before it");
  }
  if (!task && !vm) return NoInstance(text);
  return (task ? task : vm)->id.str();
}

class Watching final : public EventStream {
 public:
  Watching(const Context& context, StateWatch changes)
      : context_(context), changes_(std::move(changes)) {}

  // Tells what is there. `only`: the beginning of an id, or empty.
  Status Begin(std::string only) {
    PYRO_RETURN_IF_ERROR(OpenRegistryAgain());
    if (!only.empty()) {
      PYRO_ASSIGN_OR_RETURN(only, FindId(*registry_, only));
    }
    environments_ = EnvironmentsNow();
    instances_.emplace(context_, changes_, events_, only);
    PYRO_RETURN_IF_ERROR(instances_->LookAtRows(*registry_));
    // It was deleted since it was found.
    if (!only.empty() && instances_->empty()) return NoInstance(only);
    return OkStatus();
  }

  Result<std::vector<Event>> Next(milliseconds wait, const CallIo& io) override {
    if (wait < milliseconds(0) || wait > std::chrono::seconds(kMaxTimeoutSeconds)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the time to wait is {} ms", wait.count()),
                       "wait for 0 seconds to 7 days");
    }
    const Deadline deadline = Deadline::After(wait);
    while (true) {
      PYRO_RETURN_IF_ERROR(Look());
      const bool interrupted = std::exchange(interrupted_, false);
      if (!events_.empty() || deadline.Expired() || interrupted) return std::exchange(events_, {});
      auto waited = sys::WaitFor(changes_.fd(), POLLIN, deadline, io.cancel_fd);
      // Without them, so that further changes do not end it.
      if (waited == sys::Waited::kReady) {
        waited = sys::WaitFor(-1, 0, Deadline::After(kGather), io.cancel_fd);
      }
      if (waited == sys::Waited::kCancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
    }
  }

  void Interrupt() override { changes_.Interrupt(); }

  int fd() const override { return changes_.fd(); }

 private:
  Status OpenRegistryAgain() {
    PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context_, InstanceKind::kTask));
    registry_.emplace(std::move(registry));
    (void)ReconcileAll(*registry_, context_, InstanceKind::kVm);
    return OkStatus();
  }

  // What an error keeps from being told is told by the next look, which is one at everything.
  Status Look() {
    const bool behind = std::exchange(behind_, true);
    PYRO_ASSIGN_OR_RETURN(StateChanges changes, changes_.Take());
    interrupted_ = interrupted_ || changes.interrupted;
    instances_->Appeared(std::move(changes.appeared));
    const bool everything = behind || changes.everything;
    // If it was replaced, but could not be opened then, or if inotify lost that.
    if (changes.registry_gone || everything) {
      PYRO_RETURN_IF_ERROR(OpenRegistryAgain());
    }
    if (changes.deaths) changes_.LookAgainIn(kSecondLook);
    const bool reaps = changes.deaths || changes.again || everything;
    if (reaps) {
      PYRO_RETURN_IF_ERROR(ReconcileAll(*registry_, context_, InstanceKind::kTask));
      PYRO_RETURN_IF_ERROR(ReconcileAll(*registry_, context_, InstanceKind::kVm));
    }
    for (const auto& [id, sequence] : changes.output) instances_->LookAtOutput(id, sequence);
    if (changes.rows || reaps) {
      // SQLite writes its log, which inotify tells, then syncs it, and only then shows the change
      // to others, which nothing tells: on a slow disk the look would come too early. The writer
      // holds the lock until then.
      PYRO_RETURN_IF_ERROR(registry_->WithExclusive([] { return OkStatus(); }));
      PYRO_RETURN_IF_ERROR(instances_->LookAtRows(*registry_));
    }
    if (changes.environments || everything) LookAtEnvironments();
    behind_ = false;
    return OkStatus();
  }

  std::string EnvironmentsNow() const {
    Environments environments(context_);
    std::string now;
    for (const auto& one : environments.store().List()) {
      now += fmt::format("{} {} {}\n", one.name, static_cast<int>(one.state), one.digest);
    }
    return now;
  }

  void LookAtEnvironments() {
    std::string now = EnvironmentsNow();
    if (now == environments_) return;
    environments_ = std::move(now);
    if (instances_->all()) instances_->Tell(Event::Kind::kEnvironments, "");
  }

  const Context context_;
  StateWatch changes_;
  std::optional<Registry> registry_;
  std::optional<InstanceEvents> instances_;  // Once the watching has begun.
  bool behind_ = false;                      // A look has failed.
  bool interrupted_ = false;
  std::string environments_;
  std::vector<Event> events_;
};

}  // namespace

}  // namespace engine

Result<std::unique_ptr<EventStream>> engine::LocalEngine::Watch(const std::string& id) {
  // First of all, so that a change during the first look is noticed by the second.
  PYRO_ASSIGN_OR_RETURN(engine::StateWatch changes,
                        engine::StateWatch::Open(context_.state, context_.cache));
  auto watching = std::make_unique<engine::Watching>(context_, std::move(changes));
  PYRO_RETURN_IF_ERROR(watching->Begin(id));
  return std::unique_ptr<EventStream>(std::move(watching));
}

}  // namespace pyro
