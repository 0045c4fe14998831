// What changed in a directory of this host goes to one of a task, or the other way.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/extract.h"
#include "archive/pack.h"
#include "archive/stage.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "engine/task/file_call.h"
#include "engine/task/host_tree.h"
#include "engine/task/running_task.h"
#include "engine/task/sync_plan.h"
#include "engine/task/task_sync.h"
#include "engine/task/task_transfer.h"
#include "engine/task/transfer_notices.h"
#include "engine/task/tree_reader.h"
#include "state/instance/instance_directory.h"
#include "state/snapshot/snapshots.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/file_digest.h"
#include "sys/files.h"
#include "sys/resolve_path.h"
#include "sys/tree_steps.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using state::SyncedEntry;
using state::SyncedTree;

constexpr const char* kGuestStage = ".pyro-sync";
constexpr std::chrono::seconds kSyncLockLimit{30};
constexpr std::size_t kNamedConflicts = 5;

std::int64_t NowInNanoseconds() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

SyncedEntry EntryOfPacked(const archive::Packed& packed, std::int64_t now) {
  SyncedEntry entry;
  const struct stat& info = packed.info;
  entry.type = S_ISDIR(info.st_mode) ? 'd' : S_ISLNK(info.st_mode) ? 'l' : 'f';
  entry.mode = entry.type == 'l' ? 0 : info.st_mode & 0777;
  entry.size = packed.entry.size;
  entry.digest = packed.digest;
  entry.target = packed.entry.target;
  entry.host = StampOf(static_cast<std::int64_t>(info.st_ino), InNanoseconds(info.st_mtim),
                       InNanoseconds(info.st_ctim), now);
  return entry;
}

// A file or a link below a directory, as it is now; nullopt: something else, or nothing.
std::optional<SyncedEntry> LookBelow(int root, const std::string& path) {
  const sys::UniqueFd at = sys::OpenBelow(root, path, O_PATH);
  struct stat info {};
  if (!at.valid() || ::fstat(at.get(), &info) != 0) return std::nullopt;
  SyncedEntry entry;
  if (S_ISLNK(info.st_mode)) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(at.get(), "", target, sizeof target);
    if (n < 0) return std::nullopt;
    entry.type = 'l';
    entry.target.assign(target, static_cast<std::size_t>(n));
    return entry;
  }
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  const sys::UniqueFd file = sys::OpenBelow(root, path, O_RDONLY | O_NONBLOCK);
  const auto digest = file.valid() ? sys::DigestOfFile(file.get()) : std::nullopt;
  if (!digest) return std::nullopt;
  entry.mode = info.st_mode & 0777;
  entry.size = info.st_size;
  entry.digest = *digest;
  return entry;
}

// True if the task's disk is still what a sync of that time left, and what came after it.
bool IsStillBase(const fs::path& task_dir, WallTime synced_at) {
  const auto resets = state::ReadResets(task_dir);
  if (!resets) return false;
  return std::all_of(resets->begin(), resets->end(), [&](const state::Reset& reset) {
    if (reset.reset_at < synced_at) return true;
    const auto snapshot = state::ReadSnapshot(task_dir, reset.snapshot);
    return snapshot.ok() && snapshot->created_at >= synced_at &&
           snapshot->created_at <= reset.reset_at;
  });
}

std::string NamesOf(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamedConflicts; ++i) {
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", Printable(names[i], 100));
  }
  if (names.size() > kNamedConflicts) {
    text += fmt::format(" and {} more", names.size() - kNamedConflicts);
  }
  return text;
}

Error Conflicting(const std::vector<TaskSyncConflict>& conflicts, bool first) {
  std::vector<std::string> names;
  for (const TaskSyncConflict& one : conflicts) names.push_back(one.path);
  return MakeError(
      ErrorCode::kConflict,
      fmt::format("{} on both sides, so nothing was synced: {}",
                  first ? "there is no earlier sync, and files differ" : "files changed",
                  NamesOf(names)),
      "a dry run lists them all; prefer host or task says which side is right");
}

// One call.
class TaskSync {
 public:
  TaskSync(const Context& context, const SyncTaskRequest& request, const CallIo& io,
           NoticeBook& notices)
      : context_(context), request_(request), io_(io), notices_(notices) {}

  Result<SyncedTask> Run() {
    PYRO_RETURN_IF_ERROR(CheckPath("path", request_.path));
    PYRO_ASSIGN_OR_RETURN(auto exclude, archive::Patterns::Parse(request_.exclude));
    host_rules_ = archive::Ignores(std::move(exclude));
    PYRO_RETURN_IF_ERROR(OpenHost());
    PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, request_.task_id));
    PYRO_ASSIGN_OR_RETURN(
        Running running, EnsureReadyGuest(context_, found, "nothing is synced", kFilesOnHost, io_));
    link_ = &*running.taken.link;
    pair_.guest = GuestPath(request_.path);
    done_.task_id = running.taken.instance.id.str();
    done_.path = pair_.guest;
    done_.host_path = pair_.host;
    done_.pull = request_.pull;
    done_.dry_run = request_.dry_run;
    done_.restart = std::move(running.restart);
    const fs::path task_dir = state::InstanceDirectory(context_.state, running.taken.instance.id);
    PYRO_ASSIGN_OR_RETURN(const state::SyncStates states,
                          state::SyncStates::Begin(task_dir, Deadline::After(kSyncLockLimit)));
    // The program in the guest follows no link, so the directory that a link leads to is named.
    reader_.emplace(*link_, pair_.guest + "/.", io_.cancel_fd);
    PYRO_RETURN_IF_ERROR(ReadBase(states, task_dir));
    PYRO_RETURN_IF_ERROR(ReadTrees());
    PYRO_ASSIGN_OR_RETURN(SyncPlan plan, Plan());
    PYRO_FAILPOINT("task.sync.planned");
    if (!plan.conflicts.empty() && !request_.dry_run) {
      return Conflicting(plan.conflicts, trees_.first);
    }
    TellLeftOut(plan);
    if (!request_.dry_run) {
      PYRO_RETURN_IF_ERROR(CarryOut(plan));
      PYRO_FAILPOINT("task.sync.applied");
      PYRO_RETURN_IF_ERROR(states.Write(pair_, {context_.clock.Now(), std::move(plan.kept)}));
      PYRO_FAILPOINT("task.sync.recorded");
    }
    Describe(plan);
    return std::move(done_);
  }

 private:
  Status OpenHost() {
    std::error_code error;
    auto resolved = sys::ResolvePath(request_.host_path);
    if (!resolved && resolved.error().code == ErrorCode::kPermissionDenied) {
      return std::move(resolved).error();
    }
    if (resolved) host_ = std::move(*resolved);
    if (!resolved || !fs::is_directory(host_, error)) {
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("there is no directory '{}'", Printable(request_.host_path)),
                       "make it first");
    }
    pair_.host = host_.native();
    PYRO_ASSIGN_OR_RETURN(root_, sys::OpenFile(host_, O_RDONLY | O_DIRECTORY));
    if (request_.pull && !request_.dry_run && ::access(host_.c_str(), W_OK | X_OK) != 0) {
      return sys::ErrnoError(errno, "write to", host_.native());
    }
    return OkStatus();
  }

  Status ReadBase(const state::SyncStates& states, const fs::path& task_dir) {
    auto base = states.Read(pair_);
    const auto forget = [&](std::string_view why) {
      notices_.Add(fmt::format("{}; this sync is as the first one", why));
      trees_.first = true;
      return OkStatus();
    };
    if (!base && base.error().code == ErrorCode::kDataLoss) return forget(base.error().message);
    if (!base) return std::move(base).error();
    trees_.first = !*base;
    if (*base && !IsStillBase(task_dir, (*base)->synced_at)) {
      return forget("the task was reset to what was before its last sync");
    }
    if (*base) trees_.base = std::move((*base)->tree);
    return OkStatus();
  }

  Status ReadTrees() {
    if (io_.on_progress) io_.on_progress("compare", "", -1);
    now_ = NowInNanoseconds();
    PYRO_ASSIGN_OR_RETURN(const auto what, LookInGuest(*link_, pair_.guest, io_));
    if (what == archive::Exported::kFile) return FileCallError(ENOTDIR, pair_.guest);
    if (!what && request_.pull) return FileCallError(ENOENT, pair_.guest);
    if (what) {
      PYRO_ASSIGN_OR_RETURN(trees_.guest, reader_->List());
    }
    const auto stage = trees_.guest.find(kGuestStage);
    if (stage != trees_.guest.end() && stage->second.type == 'd' && !request_.dry_run) {
      PYRO_RETURN_IF_ERROR(reader_->Apply(kGuestStage, {}));  // Of a sync that was killed.
    }
    if (!request_.dry_run) archive::RemoveAbandonedStages(host_);
    const HostScan scan = {
        root_.get(), host_, !request_.no_ignore, {context_.state, context_.cache}, io_.cancel_fd};
    PYRO_ASSIGN_OR_RETURN(trees_.host, ScanHostTree(scan, host_rules_));
    std::vector<const archive::Ignores*> rules = {&host_rules_};
    // What the guest may lose, or bring, is for its own rules too.
    if ((request_.pull || request_.delete_unknown) && !request_.no_ignore) {
      PYRO_RETURN_IF_ERROR(ReadGuestRules());
      rules.push_back(&guest_rules_);
    }
    if (host_rules_.left_out() + guest_rules_.left_out() > 0) {
      notices_.Add("some ignore rules are beyond the limits and do not count");
    }
    Normalise(trees_.host);
    Normalise(trees_.guest);
    return LeaveOut(rules, trees_, io_.cancel_fd);
  }

  // Only what the host's rules do not ignore anyway: a directory of packages may have many.
  Status ReadGuestRules() {
    std::vector<std::string> files;
    std::size_t room = kMaxGuestRules;
    std::string ignored;  // The directory whose content is left out.
    for (const auto& [path, entry] : trees_.guest) {
      if (!ignored.empty() && path.starts_with(ignored + "/")) continue;
      if (entry.type == 'd' && host_rules_.Ask(path, true) == archive::Ignores::Answer::kYes) {
        ignored = path;
      }
      const bool rules = path == ".gitignore" || path.ends_with("/.gitignore");
      if (!rules || entry.type != 'f') continue;
      const auto size = static_cast<std::size_t>(entry.size);
      if (size > archive::kMaxIgnoreFileBytes || size > room) {
        return MakeError(ErrorCode::kLimit,
                         fmt::format("'{}' in the task is too large", Printable(path)),
                         "remove it, or leave ignore rules out with no_ignore");
      }
      room -= size;
      files.push_back(path);
    }
    PYRO_ASSIGN_OR_RETURN(const auto texts, reader_->Contents(files));
    for (std::size_t i = 0; i < files.size(); ++i) {
      const std::size_t slash = files[i].rfind('/');
      const std::string directory = slash == std::string::npos ? "" : files[i].substr(0, slash);
      if (texts[i]) guest_rules_.AddGit(directory, *texts[i]);
    }
    return OkStatus();
  }

  Result<SyncPlan> Plan() {
    SyncPlanOptions options;
    options.source = request_.pull ? SyncSide::kTask : SyncSide::kHost;
    options.prefer = request_.prefer;
    options.delete_unknown = request_.delete_unknown;
    options.now = now_;
    std::map<std::string, std::optional<std::uint64_t>> known;
    options.host_digest = [&](const std::string& path) {
      const auto [entry, fresh] = known.try_emplace(path);
      if (fresh) {
        const sys::UniqueFd file = sys::OpenBelow(root_.get(), path, O_RDONLY | O_NONBLOCK);
        if (file.valid()) entry->second = sys::DigestOfFile(file.get());
      }
      return entry->second;
    };
    const std::vector<std::string> wanted = WantedDigests(trees_);
    PYRO_ASSIGN_OR_RETURN(const auto digests, reader_->Digests(wanted));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      options.guest_digests.emplace(wanted[i], digests[i]);
    }
    return MakeSyncPlan(trees_, options);
  }

  void TellLeftOut(const SyncPlan& plan) {
    if (!plan.left_out.empty()) {
      notices_.Add(fmt::format("left out as neither files, directories nor symbolic links: {}",
                               NamesOf(plan.left_out)));
    }
    if (!plan.linked.empty()) {
      notices_.Add(fmt::format("further names of a file, which become files of their own: {}",
                               NamesOf(plan.linked)));
    }
  }

  Status CarryOut(SyncPlan& plan) {
    if (plan.changes.empty()) return OkStatus();
    std::vector<TreeStep> steps;
    for (const SyncChange& change : plan.changes) steps.push_back(change.step);
    SyncedTree brought;
    PYRO_ASSIGN_OR_RETURN(const auto refused,
                          request_.pull ? Pull(steps, brought) : Push(steps, brought));
    std::vector<std::string> left;
    for (auto one = refused.rbegin(); one != refused.rend(); ++one) {
      const auto change = plan.changes.begin() + static_cast<std::ptrdiff_t>(one->step);
      // A directory that holds more than was synced stays, and no sync has to do with it any more.
      const bool stays = change->told.kind == "removed" && one->why == StepRefusal::kInTheWay;
      if (!stays) left.push_back(change->step.path);
      const auto was = trees_.base.find(change->step.path);
      if (!stays && was != trees_.base.end()) plan.kept.insert(*was);
      plan.changes.erase(change);
    }
    std::reverse(left.begin(), left.end());
    if (!left.empty()) {
      notices_.Add(fmt::format("changed meanwhile, or something is in the way, and so left: {}",
                               NamesOf(left)));
    }
    for (const SyncChange& change : plan.changes) {
      SyncedEntry entry;
      if (change.step.what == TreeStep::What::kRemove) continue;
      if (change.step.what == TreeStep::What::kDirectory) {
        entry.type = 'd';
        entry.mode = change.step.mode;
      } else {
        entry = brought[change.step.path];
      }
      plan.kept.insert_or_assign(change.step.path, std::move(entry));
    }
    return OkStatus();
  }

  Result<std::vector<RefusedStep>> Push(const std::vector<TreeStep>& steps, SyncedTree& brought) {
    archive::Selection selection;
    selection.git.emplace();
    for (const TreeStep& step : steps) {
      if (step.what != TreeStep::What::kPlace) continue;
      selection.git->files.insert(step.path);
      for (auto slash = step.path.rfind('/'); slash != std::string::npos && slash > 0;
           slash = step.path.rfind('/', slash - 1)) {
        if (!selection.git->directories.insert(step.path.substr(0, slash)).second) break;
      }
    }
    selection.hard_links = false;
    selection.on_packed = [&](const archive::Packed& packed) {
      brought.insert_or_assign(packed.entry.name, EntryOfPacked(packed, now_));
    };
    const archive::Operation operation = MakeOperation(io_, "sync");
    const auto pack = [&](int to) { return archive::WriteTree(host_, to, operation, selection); };
    FileCall unpack;
    unpack.request.operation = wire::FileOperation::kUnpack;
    unpack.request.path = fmt::format("{}/{}", pair_.guest, kGuestStage);
    unpack.request.make = unpack.request.replace = unpack.request.parents = true;
    unpack.changes = true;
    PYRO_ASSIGN_OR_RETURN(const archive::Summary summary,
                          StreamIntoGuest(*link_, unpack, pack, io_));
    notices_.Add(SeedNotices(summary, pair_.host));
    PYRO_FAILPOINT("task.sync.pushed");
    return reader_->Apply(kGuestStage, steps);
  }

  Result<std::vector<RefusedStep>> Pull(const std::vector<TreeStep>& steps, SyncedTree& brought) {
    std::string names;
    for (const TreeStep& step : steps) {
      if (step.what == TreeStep::What::kPlace) names += step.path + '\0';
    }
    if (names.empty()) return sys::CarryOutSteps(root_.get(), -1, steps, pair_.host);
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd list, sys::MakeMemoryFile(names));
    const archive::ExportTarget target = {
        .path = host_, .kind = archive::ExportKind::kDirectory, .fill = true};
    const archive::Operation operation = MakeOperation(io_, "sync");
    std::optional<archive::Staged> staged;
    const auto receive = [&](int in) -> Status {
      auto received = archive::Receive(in, target, operation);
      if (!received) return std::move(received).error();
      staged.emplace(std::move(*received));
      return OkStatus();
    };
    FileCall pack = PackCall(pair_.guest);
    pack.request.listed = true;
    PYRO_ASSIGN_OR_RETURN(const wire::FileEnd packed,
                          StreamFromGuest(*link_, pack, receive, io_, list.get()));
    notices_.Add(ExportNotices(staged->summary(), packed));
    for (const TreeStep& step : steps) {
      if (step.what != TreeStep::What::kPlace) continue;
      if (auto entry = LookBelow(staged->root(), step.path)) brought[step.path] = std::move(*entry);
    }
    // A host that dies must not leave the names of empty files.
    if (::syncfs(staged->root()) != 0) return sys::ErrnoError(errno, "sync", pair_.host);
    PYRO_FAILPOINT("task.sync.pulled");
    return sys::CarryOutSteps(root_.get(), staged->root(), steps, pair_.host);
  }

  void Describe(SyncPlan& plan) {
    done_.first = trees_.first;
    for (SyncChange& change : plan.changes) {
      ++(change.told.kind == "added"     ? done_.added
         : change.told.kind == "removed" ? done_.removed
                                         : done_.modified);
      done_.bytes += static_cast<std::uint64_t>(change.size);
    }
    // For people, in the order of the paths.
    std::sort(plan.changes.begin(), plan.changes.end(),
              [](const SyncChange& a, const SyncChange& b) { return a.told.path < b.told.path; });
    done_.truncated =
        plan.changes.size() > kMaxSyncListed || plan.conflicts.size() > kMaxSyncListed;
    for (std::size_t i = 0; i < plan.changes.size() && i < kMaxSyncListed; ++i) {
      done_.changes.push_back(std::move(plan.changes[i].told));
    }
    if (plan.conflicts.size() > kMaxSyncListed) plan.conflicts.resize(kMaxSyncListed);
    done_.conflicts = std::move(plan.conflicts);
  }

  static constexpr std::size_t kMaxGuestRules = 16 << 20;  // Bytes of all files of rules.

  const Context& context_;
  const SyncTaskRequest& request_;
  const CallIo& io_;
  NoticeBook& notices_;
  archive::Ignores host_rules_;
  archive::Ignores guest_rules_;
  fs::path host_;
  sys::UniqueFd root_;
  state::SyncPair pair_;
  SupervisorLink* link_ = nullptr;
  std::optional<TreeReader> reader_;
  std::int64_t now_ = 0;
  SyncTrees trees_;
  SyncedTask done_;
};

}  // namespace

Status SeedForSync(const Context& context, const InstanceId& id, SupervisorLink& link, Seed seed,
                   const CallIo& io) {
  std::error_code error;
  const state::SyncPair pair = {fs::canonical(seed.path, error).native(), kWorkspace};
  state::SyncState first;
  if (seed.directory && !error) {
    const std::int64_t now = NowInNanoseconds();
    seed.selection.on_packed = [&first, now](const archive::Packed& packed) {
      if (first.tree.size() >= state::kMaxSynced || packed.entry.name == ".") return;
      first.tree.insert_or_assign(packed.entry.name, EntryOfPacked(packed, now));
    };
  }
  PYRO_RETURN_IF_ERROR(SeedWorkspace(link, seed, io));
  if (!seed.selection.on_packed) return OkStatus();
  first.synced_at = context.clock.Now();
  const auto states = state::SyncStates::Begin(state::InstanceDirectory(context.state, id),
                                               Deadline::After(kSyncLockLimit));
  const Status kept = states ? states->Write(pair, first) : Status(states.error());
  if (!kept && io.on_notice) {
    io.on_notice(fmt::format("a first 'pyro task sync' will not know what has changed: {}",
                             kept.error().message));
  }
  return OkStatus();
}

Result<SyncedTask> LocalEngine::SyncTask(const SyncTaskRequest& request, const CallIo& caller) {
  NoticeBook notices(caller);
  CallIo io = notices.Io();
  io.stdin_fd = -1;
  auto done = TaskSync(context_, request, io, notices).Run();
  if (done) done->notices = notices.Take();
  return done;
}

}  // namespace pyro::engine
