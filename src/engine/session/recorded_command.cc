#include "engine/session/recorded_command.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/try.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "sys/errno_error.h"

namespace pyro::engine {
namespace {

using std::chrono::milliseconds;

// The time to wait for a change of the journal before a look into the registry for a command's end.
// The end is in the journal's own file a moment before it is in the registry: right after a change,
// look often.
constexpr milliseconds kFirstLook{5};
constexpr milliseconds kLastLook{250};
constexpr milliseconds kReapInterval{5000};  // Its supervisor may have been killed.

}  // namespace

RecordedCommand::RecordedCommand(const Context& context, Found found, state::CommandRecord command,
                                 Deadline until)
    : context_(context),
      found_(std::move(found)),
      command_(std::move(command)),
      directory_(state::InstanceDirectory(context.state, found_.instance.id)),
      until_(until),
      next_look_(Deadline::After(kFirstLook)),
      next_reap_(Deadline::After(kReapInterval)),
      look_(kFirstLook),
      over_(ended() || until.Expired()) {}

Result<RecordedCommand> RecordedCommand::Open(const Context& context, const std::string& task_id,
                                              std::int64_t sequence, Deadline until) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context, task_id));
  PYRO_ASSIGN_OR_RETURN(state::CommandRecord command,
                        found.registry.GetCommand(found.instance.id, sequence));
  RecordedCommand recorded(context, std::move(found), std::move(command), until);
  if (recorded.ended()) return recorded;
  recorded.changes_ = sys::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!recorded.changes_.valid()) return sys::ErrnoError(errno, "inotify");
  PYRO_RETURN_IF_ERROR(recorded.Follow(state::CommandLogFile(recorded.directory_)));
  return recorded;
}

Status RecordedCommand::OpenOutput(const OutputOffsets& from) {
  if (command_.argv.empty()) return OkStatus();  // Nothing of it is kept.
  PYRO_ASSIGN_OR_RETURN(output_, JournalOutput::Open(directory_, command_.sequence, from));
  return OkStatus();
}

Status RecordedCommand::Follow(const std::filesystem::path& file) {
  if (ended() || ::inotify_add_watch(changes_.get(), file.c_str(), IN_MODIFY) >= 0 ||
      errno == ENOENT) {
    return OkStatus();
  }
  return sys::ErrnoError(errno, "watch", file.native());
}

Deadline RecordedCommand::next_look() const {
  if (over()) return Deadline::Never();
  return until_.at() < next_look_.at() ? until_ : next_look_;
}

Status RecordedCommand::Advance(const Polls& polls, SteadyTime now) {
  const bool changed = polls[0].revents != 0;
  const bool last = until_.at() <= now;
  if (over() || (!changed && !last && next_look_.at() > now)) return OkStatus();
  if (changed) {
    char events[4096];
    while (::read(changes_.get(), events, sizeof events) > 0) {
    }
  }
  look_ = changed ? kFirstLook : std::min(look_ * 2, kLastLook);
  next_look_ = Deadline::After(look_);
  if (next_reap_.Expired()) {
    PYRO_RETURN_IF_ERROR(ReconcileAll(found_.registry, context_, InstanceKind::kTask));
    next_reap_ = Deadline::After(kReapInterval);
  }
  PYRO_ASSIGN_OR_RETURN(command_,
                        found_.registry.GetCommand(found_.instance.id, command_.sequence));
  over_ = last || ended();
  return OkStatus();
}

}  // namespace pyro::engine
