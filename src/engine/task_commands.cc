// Single commands of a task's journal: status, output page by page, cancellation.

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "engine/describe.h"
#include "engine/guest_process.h"
#include "engine/instance_files.h"
#include "engine/instance_guest.h"
#include "engine/local_engine.h"
#include "engine/session/journaled_command.h"
#include "registry/command_log.h"
#include "registry/instance_directory.h"
#include "registry/journal.h"
#include "sys/errno_error.h"
#include "sys/unique_fd.h"

namespace pyro {
namespace engine {
namespace {

using std::chrono::milliseconds;

// The time to wait for a change of the journal before a look into the registry for a command's end.
// The end is in the journal's own file a moment before it is in the registry: right after a change,
// look often.
constexpr int kFirstLookMs = 5;
constexpr int kLastLookMs = 250;
constexpr milliseconds kReapInterval{5000};  // Its supervisor may have been killed.

Status CheckPage(std::int64_t limit, milliseconds wait) {
  if (limit < 1 || limit > static_cast<std::int64_t>(kMaxResultBytes)) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("limit is {}", limit),
                     fmt::format("limit takes 1 to {} bytes", kMaxResultBytes));
  }
  if (wait < milliseconds(0) || wait > std::chrono::seconds(kMaxTimeoutSeconds)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the time to wait is {} ms", wait.count()),
                     "wait for 0 seconds to 7 days");
  }
  return OkStatus();
}

// A command with its sizes, also while it runs.
Result<TaskCommandInfo> Describe(const Context& context, const std::filesystem::path& directory,
                                 const registry::CommandRecord& command,
                                 std::string_view accelerator) {
  TaskCommandInfo info{DescribeCommand(context, command, accelerator)};
  info.task_id = command.task_id.str();
  if (command.end) return info;
  PYRO_ASSIGN_OR_RETURN(const registry::OutputSizes sizes,
                        registry::ReadOutputSizes(directory, command.sequence));
  info.stdout_bytes = sizes.stdout_bytes;
  info.stderr_bytes = sizes.stderr_bytes;
  return info;
}

// Watches one command that may be running.
class Watch {
 public:
  static Result<Watch> Open(const Context& context, const std::string& task_id,
                            std::int64_t sequence, milliseconds wait, const CallIo& io) {
    PYRO_ASSIGN_OR_RETURN(Found found, Find(context, InstanceKind::kTask, task_id));
    PYRO_ASSIGN_OR_RETURN(registry::CommandRecord command,
                          found.registry.GetCommand(found.instance.id, sequence));
    Watch watch(context, std::move(found), std::move(command), wait, io);
    if (watch.ended()) return watch;
    watch.changes_ = sys::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!watch.changes_.valid()) return sys::ErrnoError(errno, "inotify");
    PYRO_RETURN_IF_ERROR(watch.Follow(registry::CommandLogFile(watch.directory_)));
    return watch;
  }

  const registry::CommandRecord& command() const { return command_; }
  const std::filesystem::path& directory() const { return directory_; }
  const std::string& accelerator() const { return found_.instance.accelerator; }
  bool ended() const { return command_.end.has_value(); }
  bool expired() const { return deadline_.Expired(); }

  // From now on Next() also returns when this file of a running command has grown. A missing file
  // counts as empty for good.
  Status Follow(const std::filesystem::path& file) {
    if (::inotify_add_watch(changes_.get(), file.c_str(), IN_MODIFY) >= 0 || errno == ENOENT) {
      return OkStatus();
    }
    return sys::ErrnoError(errno, "watch", file.native());
  }

  // Waits a moment, at most to the deadline, and looks again.
  Status Next() {
    pollfd polls[] = {{changes_.get(), POLLIN, 0}, {cancel_fd_, POLLIN, 0}};
    const int left = deadline_.PollTimeout();
    ::poll(polls, 2, left < 0 ? look_ms_ : std::min(left, look_ms_));
    if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (polls[0].revents != 0) {
      char events[4096];
      while (::read(changes_.get(), events, sizeof events) > 0) {
      }
      look_ms_ = kFirstLookMs;
    } else {
      look_ms_ = std::min(look_ms_ * 2, kLastLookMs);
    }
    if (next_reap_.Expired()) {
      PYRO_RETURN_IF_ERROR(ReconcileAll(found_.registry, context_, InstanceKind::kTask));
      next_reap_ = Deadline::After(kReapInterval);
    }
    PYRO_ASSIGN_OR_RETURN(command_,
                          found_.registry.GetCommand(found_.instance.id, command_.sequence));
    return OkStatus();
  }

 private:
  Watch(const Context& context, Found found, registry::CommandRecord command, milliseconds wait,
        const CallIo& io)
      : context_(context),
        found_(std::move(found)),
        command_(std::move(command)),
        directory_(registry::InstanceDirectory(context.state, found_.instance.id)),
        deadline_(Deadline::After(wait)),
        next_reap_(Deadline::After(kReapInterval)),
        cancel_fd_(io.cancel_fd) {}

  const Context& context_;
  Found found_;
  registry::CommandRecord command_;
  std::filesystem::path directory_;
  Deadline deadline_;
  Deadline next_reap_;
  int cancel_fd_;
  int look_ms_ = kFirstLookMs;
  sys::UniqueFd changes_;
};

// The number of bytes at the end that begin a UTF-8 character without ending it.
std::size_t UnfinishedBytes(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

// The present content of the stream.
Result<TaskOutput> ReadPage(const Watch& watch, OutputStream stream, std::uint64_t offset,
                            std::size_t limit) {
  TaskOutput page;
  page.offset = offset;
  // In this order: a read after the end was seen gets all of it.
  const bool ended = watch.ended();
  PYRO_ASSIGN_OR_RETURN(page.text, registry::ReadOutput(watch.directory(), watch.command().sequence,
                                                        stream, offset, limit));
  PYRO_ASSIGN_OR_RETURN(const registry::OutputSizes sizes,
                        registry::ReadOutputSizes(watch.directory(), watch.command().sequence));
  page.total_bytes = stream == OutputStream::kStdout ? sizes.stdout_bytes : sizes.stderr_bytes;
  const bool more = !ended || offset + page.text.size() < page.total_bytes;
  if (more && limit > 3) page.text.resize(page.text.size() - UnfinishedBytes(page.text));
  page.next_offset = offset + page.text.size();
  page.complete = ended && page.next_offset >= page.total_bytes;
  return page;
}

}  // namespace
}  // namespace engine

Result<TaskCommandInfo> LocalEngine::GetTaskCommand(const std::string& task_id,
                                                    std::int64_t sequence,
                                                    std::chrono::milliseconds wait,
                                                    const CallIo& io) {
  PYRO_RETURN_IF_ERROR(engine::CheckPage(1, wait));
  PYRO_ASSIGN_OR_RETURN(engine::Watch watch,
                        engine::Watch::Open(impl_->context, task_id, sequence, wait, io));
  while (!watch.ended() && !watch.expired()) PYRO_RETURN_IF_ERROR(watch.Next());
  return engine::Describe(impl_->context, watch.directory(), watch.command(), watch.accelerator());
}

Result<TaskCommandPage> LocalEngine::ListTaskCommands(const std::string& task_id,
                                                      std::int64_t first, std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(engine::Found found,
                        engine::Find(impl_->context, InstanceKind::kTask, task_id));
  PYRO_ASSIGN_OR_RETURN(
      const std::vector<registry::CommandRecord> commands,
      found.registry.ListCommands(found.instance.id, engine::RangeOf(first, limit)));
  const auto directory = registry::InstanceDirectory(impl_->context.state, found.instance.id);
  TaskCommandPage page;
  page.task_id = found.instance.id.str();
  page.total = found.instance.command_count;
  for (const registry::CommandRecord& command : commands) {
    PYRO_ASSIGN_OR_RETURN(TaskCommandInfo info, engine::Describe(impl_->context, directory, command,
                                                                 found.instance.accelerator));
    page.entries.push_back(std::move(info));
  }
  if (limit < 0) std::reverse(page.entries.begin(), page.entries.end());
  return page;
}

Result<TaskOutput> LocalEngine::ReadTaskOutput(const std::string& task_id, std::int64_t sequence,
                                               OutputStream stream, std::uint64_t offset,
                                               std::int64_t limit, std::chrono::milliseconds wait,
                                               const CallIo& io) {
  PYRO_RETURN_IF_ERROR(engine::CheckPage(limit, wait));
  PYRO_ASSIGN_OR_RETURN(engine::Watch watch,
                        engine::Watch::Open(impl_->context, task_id, sequence, wait, io));
  if (!watch.ended()) {
    PYRO_RETURN_IF_ERROR(watch.Follow(registry::OutputFile(watch.directory(), sequence, stream)));
  }
  while (true) {
    PYRO_ASSIGN_OR_RETURN(TaskOutput page,
                          engine::ReadPage(watch, stream, offset, static_cast<std::size_t>(limit)));
    if (!page.text.empty() || watch.ended() || watch.expired()) {
      PYRO_ASSIGN_OR_RETURN(page.command, engine::Describe(impl_->context, watch.directory(),
                                                           watch.command(), watch.accelerator()));
      page.stream = stream;
      return page;
    }
    PYRO_RETURN_IF_ERROR(watch.Next());
  }
}

Result<TaskCommandInfo> LocalEngine::CancelTaskCommand(const std::string& task_id,
                                                       std::int64_t sequence, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(engine::Found found,
                        engine::Find(impl_->context, InstanceKind::kTask, task_id));
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(registry::CommandRecord command, found.registry.GetCommand(id, sequence));
  if (!command.end && command.execution_mode == ExecutionMode::kHostCompat) {
    return MakeError(ErrorCode::kWrongState,
                     "the command runs on the host, in the process that started it",
                     "interrupt that process");
  }
  if (!command.end) {
    PYRO_ASSIGN_OR_RETURN(engine::Held held, engine::TakeOver(engine::PlaceOf(impl_->context, id)));
    if (held.link) {
      engine::CommandKiller killer(*held.link, sequence, io);
      const Status status = engine::CommandSession(killer, nullptr, io).Run();
      // It may have ended at the same moment in any way: the registry has its end.
      const bool over = !status && (status.error().code == ErrorCode::kNotFound ||
                                    status.error().code == ErrorCode::kGuestUnavailable);
      if (!status && !over) return status.error();
    }
    held.lock.reset();
    PYRO_RETURN_IF_ERROR(engine::ReconcileAll(found.registry, impl_->context, InstanceKind::kTask));
    PYRO_ASSIGN_OR_RETURN(command, found.registry.GetCommand(id, sequence));
  }
  if (!command.end) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("command {} was killed, but its end is not recorded yet", sequence),
        "look at it again; if it stays so, the disk may be full");
  }
  return engine::Describe(impl_->context, registry::InstanceDirectory(impl_->context.state, id),
                          command, found.instance.accelerator);
}

}  // namespace pyro
