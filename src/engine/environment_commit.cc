// Tasks that become environments, and environments that leave this host.

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/extract.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/environments.h"
#include "engine/guest_tree.h"
#include "engine/instance/instance_guest.h"
#include "engine/instance/reader_guest.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "engine/task/disk_copy.h"
#include "image/oci/source.h"
#include "state/instance/instance_directory.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using state::InstanceRecord;

// What ran in the task until now.
Result<image::CommitRecord> Provenance(state::Registry& registry, const InstanceRecord& task,
                                       const CommitEnvironmentRequest& request, WallTime now) {
  image::CommitRecord commit;
  commit.task_id = task.id.str();
  commit.task_name = Printable(task.name);
  commit.environment = task.environment;
  commit.environment_digest = task.environment_digest;
  commit.committed_at = FormatTime(now);
  commit.workspace = request.workspace;
  const state::CommandRange range = {.limit = image::kMaxCommitSteps};
  PYRO_ASSIGN_OR_RETURN(const auto commands, registry.ListCommands(task.id, range));
  for (const state::CommandRecord& one : commands) {
    image::CommitStep step;
    step.sequence = one.sequence;
    step.command = Printable(ShellJoin(one.argv), image::kMaxStepBytes);
    step.cwd = Printable(one.cwd, image::kMaxStepBytes);
    step.user = Printable(one.user);
    step.started_at = FormatTime(one.started_at);
    if (one.end) {
      step.outcome = Name(one.end->outcome);
      step.exit_code = one.end->ExitCode();
    }
    commit.steps.push_back(std::move(step));
  }
  const auto listed = static_cast<std::int64_t>(commit.steps.size());
  if (task.command_count > listed) {
    commit.more_steps = static_cast<std::uint64_t>(task.command_count - listed);
  }
  return commit;
}

// Its guest, if it has one, goes on when the copy is made. `while_still` as DiskCopy has it.
Status CopyTaskDisk(const Context& context, Found& found, const fs::path& to,
                    const std::function<Status()>& while_still, const CallIo& io) {
  if (io.on_progress) io.on_progress("copy", "", -1);
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context, found));
  const DiskCopy copy = {.from = state::DataImage(context.state, found.instance.id),
                         .to = to,
                         .while_still = while_still};
  if (!taken.link) return CopyDisk(copy, io);
  PYRO_RETURN_IF_ERROR(taken.link->AwaitReady(Deadline::After(kReadyLimit), io));
  PYRO_RETURN_IF_ERROR(CheckDiskOfTask(context, found.instance.id));
  return CopyDiskOfGuest(copy, *taken.link, io);
}

// Starts a guest for it, which has ended when this returns.
Result<std::vector<std::string>> ReadByGuest(const Context& context, const ReaderWish& wish,
                                             const TreeWish& tree, int layer_fd, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(ReaderGuest guest, ReaderGuest::Start(context, wish, io));
  if (io.on_progress) io.on_progress("start", "", -1);
  const auto read = [&]() -> Result<std::vector<std::string>> {
    PYRO_RETURN_IF_ERROR(guest.link().AwaitReady(Deadline::After(kReadyLimit), io));
    return ReadTree(guest.link(), tree, layer_fd, io);
  };
  auto left_out = read();
  guest.Remove();
  return left_out;
}

// Of FormatTime; the epoch, if it is none.
WallTime TimeOf(const std::string& text) {
  std::tm parts{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return WallTime{};
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

// Without a change of its own the guest has what the environment has.
Result<std::vector<std::string>> ReadEnvironment(const Context& context,
                                                 const image::InstalledEnvironment& environment,
                                                 int layer_fd, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const MachineWish machine, WishOf(context, VmOptions()));
  ReaderWish wish;
  wish.environment = environment.name;
  wish.digest = environment.digest;
  PYRO_ASSIGN_OR_RETURN(wish.machine, RememberedMachine(context, machine, 1));
  wish.fill = [&](const fs::path& disk) -> Status {
    PYRO_ASSIGN_OR_RETURN(const fs::path blank, BlankDisk(context));
    return CopyDisk({.from = blank, .to = disk}, io);
  };
  TreeWish tree;
  tree.workspace = true;
  // Always the same, so that two exports are.
  tree.stamp = TimeOf(environment.manifest.built_at);
  return ReadByGuest(context, wish, tree, layer_fd, io);
}

}  // namespace

Result<CommittedEnvironment> LocalEngine::CommitEnvironment(const CommitEnvironmentRequest& request,
                                                            const CallIo& io) {
  PYRO_RETURN_IF_ERROR(image::CheckImageName(request.name));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, request.task_id));
  const InstanceRecord& task = found.instance;
  PYRO_RETURN_IF_ERROR(CheckMade(context_, task.id));
  if (task.execution_mode == ExecutionMode::kHostCompat) {
    return MakeError(ErrorCode::kWrongState,
                     "the task runs on the host, and has no root file system of its own",
                     "make a task with a guest");
  }
  PYRO_RETURN_IF_ERROR(CheckDisk(context_));
  Environments environments(context_);
  PYRO_ASSIGN_OR_RETURN(
      const image::InstalledEnvironment parent,
      environments.store().FindVersion(task.environment, task.environment_digest));
  image::CommittedTree committed;
  const auto note_commands = [&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(const InstanceRecord now, found.registry.Get(task.id));
    PYRO_ASSIGN_OR_RETURN(committed.record,
                          Provenance(found.registry, now, request, context_.clock.Now()));
    return OkStatus();
  };
  ReaderWish wish;
  wish.environment = task.environment;
  wish.digest = task.environment_digest;
  wish.machine = task.machine;
  wish.fill = [&](const fs::path& disk) {
    return CopyTaskDisk(context_, found, disk, note_commands, io);
  };
  const TreeWish tree = {
      .workspace = request.workspace, .network = task.network, .stamp = context_.clock.Now()};
  const auto make = [&](int layer_fd) -> Result<image::CommittedTree> {
    PYRO_ASSIGN_OR_RETURN(committed.left_out, ReadByGuest(context_, wish, tree, layer_fd, io));
    return committed;
  };
  PYRO_ASSIGN_OR_RETURN(
      const image::InstalledEnvironment made,
      environments.store().Commit(request.name, parent, make, ToProgress(io), {io.cancel_fd}));
  PYRO_RETURN_IF_ERROR(WarmInstalled(context_, made, io));
  CommittedEnvironment told;
  PYRO_ASSIGN_OR_RETURN(told.info, EnvironmentSummaryOf(environments, made.name));
  told.task_id = task.id.str();
  told.left_out = made.manifest.image->left_out;
  return told;
}

Result<ExportedEnvironment> LocalEngine::ExportEnvironment(const ExportEnvironmentRequest& request,
                                                           int out_fd, const CallIo& io) {
  Environments environments(context_);
  const auto found = environments.store().Find(request.environment);
  if (!found) {
    const bool missing = found.error().code == ErrorCode::kNotFound;
    return missing ? NoEnvironment(request.environment) : found.error();
  }
  const image::InstalledEnvironment& environment = *found;
  ExportedEnvironment told;
  told.environment = environment.name;
  told.digest = environment.digest;
  const auto make = [&](int layer_fd) {
    return ReadEnvironment(context_, environment, layer_fd, io);
  };
  const auto write = [&](int fd) -> Status {
    PYRO_ASSIGN_OR_RETURN(
        told.left_out,
        environments.store().Export(environment, make, fd, ToProgress(io), {io.cancel_fd}));
    return OkStatus();
  };
  if (out_fd >= 0) {
    if (::isatty(out_fd) == 1) {
      return MakeError(ErrorCode::kInvalidArgument, "an archive is not written to a terminal",
                       "redirect stdout to a file or a pipe");
    }
    PYRO_RETURN_IF_ERROR(write(out_fd));
    return told;
  }
  archive::ExportTarget target;
  target.path = fs::absolute(request.file).lexically_normal();
  target.kind = archive::ExportKind::kFile;
  target.replace = request.force;
  // Before a guest is troubled.
  PYRO_RETURN_IF_ERROR(archive::CheckTarget(target));
  PYRO_ASSIGN_OR_RETURN(archive::Staged staged, archive::StageFile(target, write));
  PYRO_RETURN_IF_ERROR(staged.Commit());
  told.file = target.path.native();
  told.bytes = staged.summary().bytes;
  return told;
}

}  // namespace pyro::engine
