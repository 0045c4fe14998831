// RunInVm: from the request to the complete removal of the VM.

#include "engine/run.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "api/rows.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/download_cache.h"
#include "engine/environments.h"
#include "engine/exec_result.h"
#include "engine/host/host_compat.h"
#include "engine/image_defaults.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/instance/spares.h"
#include "engine/instance/supervisor_link.h"
#include "engine/local_engine.h"
#include "engine/network_rules.h"
#include "engine/requests.h"
#include "engine/secrets.h"
#include "engine/session/guest_command.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"

namespace pyro::engine {
namespace {

using std::chrono::seconds;

constexpr seconds kRunStopLimit{30};

// A VM with a supervisor that ends with this object.
class OwnedVm {
 public:
  static Result<OwnedVm> Start(state::Registry& registry, const Context& context,
                               const VmOptions& options, const GuestParts& parts, const CallIo& io,
                               const std::function<void()>& on_supervised) {
    state::InstanceSpec spec = MakeSpec(InstanceKind::kVm, options, parts.environment.digest);
    spec.owner = state::InstanceOwner::kRun;
    spec.machine = NameOf(parts.machine);
    PYRO_ASSIGN_OR_RETURN(std::vector<SecretValue> secrets, ReadSecretValues(spec.secret_refs));
    PYRO_ASSIGN_OR_RETURN(NewInstance vm,
                          CreateVmOnDisk(registry, context, spec, VmDisk::kGuestImage));
    wire::SupervisorConfig config = SupervisorOf(context, vm.record);
    config.secrets = std::move(secrets);
    Status cached = OkStatus();
    if (vm.record.cache) cached = AddDownloads(context, parts.environment, config, io);
    if (!cached) {
      (void)RemoveFromDisk(registry, context, vm.record.id);
      return std::move(cached).error();
    }
    // Without it, the guest also starts, only slower.
    if (auto blank = BlankDisk(context)) config.blank_disk = std::move(*blank);
    if (Status status = StartSupervisor(context, parts, std::move(config), vm.lock); !status) {
      (void)RemoveFromDisk(registry, context, vm.record.id);
      return std::move(status).error();
    }
    on_supervised();
    PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                          SupervisorLink::Connect(PlaceOf(context, vm.record.id).socket));
    return OwnedVm(std::move(link), state::InstanceDirectory(context.state, vm.record.id));
  }

  OwnedVm(SupervisorLink link, std::filesystem::path directory)
      : link_(std::move(link)), directory_(std::move(directory)) {}

  SupervisorLink& link() { return link_; }

  std::vector<DeniedConnection> Denied() const {
    return DescribeDenied(state::ReadGuestDenied(directory_));
  }

  // Returns once no process of it is left. If it cannot wait, the next call of any process reaps
  // the VM.
  void Remove() { (void)link_.Stop(wire::Stop{.remove = true}, Deadline::After(kRunStopLimit)); }

 private:
  SupervisorLink link_;
  std::filesystem::path directory_;
};

enum class Source { kSpareOrNew, kNew };

Result<OwnedVm> FindOrStartVm(const Context& context, const VmOptions& options, Source source,
                              const GuestParts& parts, const CallIo& io, const Stopwatch& watch,
                              Timings& timings) {
  // A spare's network has no rules, and no secrets.
  if (source == Source::kSpareOrNew && !NeedsOwnNetwork(options)) {
    if (std::optional<VmOfASpare> spare = TakeSpare(context, parts, options)) {
      timings.prepared_ms = timings.supervised_ms = watch.Now();
      return OwnedVm(std::move(spare->link), std::move(spare->directory));
    }
  }
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenReconciled(context, InstanceKind::kVm));
  timings.prepared_ms = watch.Now();
  if (io.on_progress) io.on_progress("start", "", -1);
  return OwnedVm::Start(registry, context, options, parts, io,
                        [&] { timings.supervised_ms = watch.Now(); });
}

bool HasWords(const Command& command) { return command.script || !command.argv.empty(); }

// The message for the guest. A command without words is the image's own.
Result<wire::Exec> ExecIn(const image::InstalledEnvironment& environment, const Command& command,
                          std::int64_t timeout_seconds, const CallIo& io) {
  const auto image = ImageOf(environment);
  if (!image || HasWords(command)) {
    return MakeImageExec(image, command, UsualPlace::kOfImage, timeout_seconds, io);
  }
  PYRO_ASSIGN_OR_RETURN(const Command own, ImageCommand(*image, command));
  return MakeImageExec(image, own, UsualPlace::kOfImage, timeout_seconds, io);
}

struct AskedRun {
  const VmOptions& options;
  const Command& command;
  std::int64_t timeout_seconds;
};

// `began_running` says whether an error came before or after the guest took the command.
Result<ExecResult> RunInGuest(const Context& context, const AskedRun& asked, Source source,
                              const CallIo& io, bool& began_running) {
  const Stopwatch watch;
  VmOptions options = asked.options;
  PYRO_RETURN_IF_ERROR(ResolveNetworkRules(options));
  PYRO_RETURN_IF_ERROR(ResolveSecrets(options));
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context, options));
  PYRO_ASSIGN_OR_RETURN(image::InstalledEnvironment environment,
                        EnsureEnvironment(context, options.environment, io));
  options.environment = environment.name;
  PYRO_ASSIGN_OR_RETURN(const wire::Exec exec,
                        ExecIn(environment, asked.command, asked.timeout_seconds, io));
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts,
                        PrepareParts(context, std::move(environment), wish, io));
  image::EnvironmentStore::NoteUse(parts.environment);
  Timings timings;
  PYRO_ASSIGN_OR_RETURN(OwnedVm vm,
                        FindOrStartVm(context, options, source, parts, io, watch, timings));

  CaptureSink capture(io);
  PlainCommand command(vm.link(), exec, io);
  CommandSession session(command, capture.sink(), io);
  Status status = session.Run();
  began_running = command.began();
  timings.ended_ms = watch.Now();
  const std::vector<DeniedConnection> denied = vm.Denied();
  vm.Remove();
  timings.removed_ms = watch.Now();
  if (!status) return std::move(status).error();
  ExecResult result =
      MakeGuestResult(command, session, exec, options.environment, InTask::kNo, watch, timings);
  result.denied = denied;
  capture.Fill(result);
  return result;
}

}  // namespace

Result<ExecResult> TryGuest(const Context& context, const std::string& environment,
                            const CallIo& caller) {
  constexpr seconds kLimit{60};
  VmOptions options;
  options.environment = environment;
  Command command;
  command.argv = {"true"};
  CallIo io;
  io.cancel_fd = caller.cancel_fd;
  bool began_running = false;
  return RunInGuest(context, {options, command, kLimit.count()}, Source::kNew, io, began_running);
}

Result<ExecResult> LocalEngine::RunInVm(const VmOptions& options, const Command& command,
                                        std::int64_t timeout_seconds, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(options));
  // Before the environment is pulled: an impossible command is that in each.
  Command words = command;
  if (!HasWords(words)) words.argv = {"/"};
  PYRO_ASSIGN_OR_RETURN(const wire::Exec exec, MakeExec(words, timeout_seconds, io));
  bool began_running = false;
  auto result = RunInGuest(context_, {options, command, timeout_seconds}, Source::kSpareOrNew, io,
                           began_running);
  if (result) AdviseUsermode(context_, result->machine, result->duration_ms, io);
  // A command that may already have had an effect is not run a second time.
  if (result || !options.allow_host_compat || began_running || !HasWords(command) ||
      !MeansNoGuest(result.error())) {
    return result;
  }
  if (io.on_notice) io.on_notice(HostCompatNotice(result.error()));
  return RunOnHost(context_, options, exec, io);
}

}  // namespace pyro::engine
