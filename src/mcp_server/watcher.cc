#include "mcp_server/watcher.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp_server {
namespace {

constexpr std::chrono::milliseconds kInterval{500};
constexpr std::string_view kTasksPrefix = "pyro://tasks/";

std::string Fingerprint(const TaskCommandInfo& command) {
  return fmt::format("{} {} {}", Name(command.state), command.stdout_bytes, command.stderr_bytes);
}

std::string Fingerprint(const TaskInfo& task) {
  return fmt::format("{} {} {} {}", task.task_id, Name(task.state), task.command_count,
                     task.last_command ? Name(task.last_command->state) : "");
}

}  // namespace

ResourceRef ParseResource(const std::string& uri) {
  using Kind = ResourceRef::Kind;
  ResourceRef ref;
  if (uri == "pyro://environments") ref.kind = Kind::kEnvironments;
  if (uri == "pyro://tasks") ref.kind = Kind::kTasks;
  if (!uri.starts_with(kTasksPrefix)) return ref;
  const std::vector<std::string_view> parts =
      Split(std::string_view(uri).substr(kTasksPrefix.size()), '/');
  ref.task_id = parts[0];
  if (parts.size() == 1) {
    ref.kind = Kind::kTask;
  } else if (parts.size() == 2 && parts[1] == "logs") {
    ref.kind = Kind::kLogs;
  } else if (parts.size() >= 3 && parts[1] == "commands") {
    const auto sequence = ParseInt(parts[2]);
    if (!sequence || *sequence < 1) return ref;
    ref.sequence = *sequence;
    if (parts.size() == 3) ref.kind = Kind::kCommand;
    const auto stream = parts.size() == 4 ? FromName<OutputStream>(parts[3]) : std::nullopt;
    if (stream) {
      ref.kind = Kind::kStream;
      ref.stream = *stream;
    }
  }
  return ref;
}

void Watcher::Stop() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::OnWatch(const std::string& uri, mcp::Watch watch) {
  if (watch == mcp::Watch::kStopped) {
    const std::lock_guard lock(mutex_);
    seen_.erase(uri);
    return;
  }
  // Changes count from here on.
  std::string now = Look(uri);
  const std::lock_guard lock(mutex_);
  if (done_) return;
  seen_.insert_or_assign(uri, std::move(now));
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  wake_.notify_all();
}

void Watcher::Run() {
  std::unique_lock lock(mutex_);
  while (!done_) {
    if (seen_.empty()) {
      wake_.wait(lock, [this] { return done_ || !seen_.empty(); });
      continue;
    }
    wake_.wait_for(lock, kInterval, [this] { return done_; });
    if (done_) return;
    const std::map<std::string, std::string> before = seen_;
    lock.unlock();
    std::map<std::string, std::string> changed;
    for (const auto& [uri, was] : before) {
      std::string now = Look(uri);
      if (now != was) changed.emplace(uri, std::move(now));
    }
    lock.lock();
    for (auto& [uri, now] : changed) {
      const auto found = seen_.find(uri);
      if (found == seen_.end()) continue;  // No client watches it any more.
      found->second = std::move(now);
      server_.NotifyResourceUpdated(uri);
    }
  }
}

// The values whose change is reported; an error is a state, too.
std::string Watcher::Look(const std::string& uri) {
  using Kind = ResourceRef::Kind;
  const ResourceRef ref = ParseResource(uri);
  std::string looks;
  switch (ref.kind) {
    case Kind::kEnvironments: {
      const auto environments = engine_.ListEnvironments();
      if (!environments) return "?";
      for (const EnvironmentInfo& one : *environments) looks += one.name + one.digest + ";";
      return looks;
    }
    case Kind::kTasks: {
      const auto tasks = engine_.ListTasks();
      if (!tasks) return "?";
      for (const TaskInfo& task : *tasks) looks += Fingerprint(task) + ";";
      return looks;
    }
    case Kind::kTask:
    case Kind::kLogs: {
      const auto task = engine_.StatusTask(ref.task_id);
      if (!task) return std::string(ErrorCodeName(task.error().code));
      looks = Fingerprint(*task);
      // Growing output is a change for a client that watches the journal.
      if (ref.kind == Kind::kTask || task->command_count == 0) return looks;
      const auto last = engine_.ListTaskCommands(ref.task_id, 1, -8);
      if (!last) return looks;
      for (const TaskCommand& command : last->entries) {
        looks += fmt::format(";{} {} {}", Name(command.state), command.stdout_bytes,
                             command.stderr_bytes);
      }
      return looks;
    }
    case Kind::kCommand:
    case Kind::kStream: {
      const auto command = engine_.GetTaskCommand(ref.task_id, ref.sequence);
      return command ? Fingerprint(*command) : std::string(ErrorCodeName(command.error().code));
    }
    case Kind::kUnknown:
      return "";
  }
  return "";
}

}  // namespace pyro::mcp_server
