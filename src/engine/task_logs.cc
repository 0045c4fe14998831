// Reading a task's journal, whether its guest runs or not.

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance_files.h"
#include "engine/local_engine.h"
#include "engine/session/journal_output.h"
#include "registry/instance_directory.h"
#include "registry/journal.h"

namespace pyro {
namespace engine {
namespace {

using registry::Registry;

// The interval at which a followed command's end is looked up in the registry.
constexpr std::chrono::milliseconds kLookInterval{250};
constexpr int kReapEvery = 20;  // Looks between two reaps: its supervisor may have been killed.

Result<TaskLogEntry> ReadEntry(const Context& context, const std::filesystem::path& directory,
                               const registry::CommandRecord& command,
                               std::string_view accelerator) {
  TaskLogEntry entry{DescribeCommand(context, command, accelerator)};
  PYRO_ASSIGN_OR_RETURN(registry::OutputText out,
                        registry::ReadOutputEnds(directory, command.sequence, OutputStream::kStdout,
                                                 kMaxResultBytes));
  PYRO_ASSIGN_OR_RETURN(registry::OutputText err,
                        registry::ReadOutputEnds(directory, command.sequence, OutputStream::kStderr,
                                                 kMaxResultBytes));
  if (!command.end) {
    entry.stdout_bytes = out.bytes;
    entry.stderr_bytes = err.bytes;
  }
  entry.stdout_text = std::move(out.text);
  entry.stderr_text = std::move(err.text);
  entry.stdout_truncated = out.truncated;
  entry.stderr_truncated = err.truncated;
  return entry;
}

// A command as the registry has it, which is followed to its end or only read.
class RecordedCommand : public RunningCommand {
 public:
  RecordedCommand(const Context& context, Registry& registry, registry::CommandRecord command,
                  OutputSource& output, Engine::Follow follow)
      : context_(context),
        registry_(registry),
        command_(std::move(command)),
        output_(output),
        follow_(follow) {}

  const registry::CommandRecord& command() const { return command_; }

  Polls polls() const override { return {{{-1, 0, 0}, {-1, 0, 0}}}; }
  Deadline next_look() const override { return over() ? Deadline::Never() : next_look_; }
  bool over() const override { return command_.end || follow_ == Engine::Follow::kNo; }
  OutputSource* output() override { return &output_; }

  Status Advance(const Polls&) override {
    if (over()) return OkStatus();
    if (++looks_ % kReapEvery == 0) {
      PYRO_RETURN_IF_ERROR(ReconcileAll(registry_, context_, InstanceKind::kTask));
    }
    PYRO_ASSIGN_OR_RETURN(command_, registry_.GetCommand(command_.task_id, command_.sequence));
    next_look_ = Deadline::After(kLookInterval);
    return OkStatus();
  }

 private:
  const Context& context_;
  Registry& registry_;
  registry::CommandRecord command_;
  OutputSource& output_;
  Engine::Follow follow_;
  Deadline next_look_ = Deadline::Never();
  int looks_ = 0;
};

}  // namespace

registry::CommandRange RangeOf(std::int64_t first, std::int64_t limit) {
  registry::CommandRange range;
  if (limit < 0) {
    range.newest_first = true;
    range.from_sequence = INT64_MAX;
    range.limit = -limit;
  } else {
    range.from_sequence = std::max<std::int64_t>(first, 1);
    range.limit = limit == 0 ? INT64_MAX : limit;
  }
  return range;
}

}  // namespace engine

Result<TaskLogs> LocalEngine::LogsTask(const std::string& task_id, std::int64_t first,
                                       std::int64_t limit) {
  PYRO_ASSIGN_OR_RETURN(engine::Found found,
                        engine::Find(impl_->context, InstanceKind::kTask, task_id));
  PYRO_ASSIGN_OR_RETURN(
      std::vector<registry::CommandRecord> commands,
      found.registry.ListCommands(found.instance.id, engine::RangeOf(first, limit)));
  if (limit < 0) std::reverse(commands.begin(), commands.end());
  const auto directory = registry::InstanceDirectory(impl_->context.state, found.instance.id);
  TaskLogs logs;
  logs.task_id = found.instance.id.str();
  for (const registry::CommandRecord& command : commands) {
    PYRO_ASSIGN_OR_RETURN(TaskLogEntry entry, engine::ReadEntry(impl_->context, directory, command,
                                                                found.instance.accelerator));
    logs.entries.push_back(std::move(entry));
  }
  return logs;
}

Result<TaskCommand> LocalEngine::ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                                 Follow follow, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(engine::Found found,
                        engine::Find(impl_->context, InstanceKind::kTask, task_id));
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(registry::CommandRecord command, found.registry.GetCommand(id, sequence));
  PYRO_ASSIGN_OR_RETURN(
      const std::unique_ptr<engine::JournalOutput> output,
      engine::JournalOutput::Open(registry::InstanceDirectory(impl_->context.state, id), sequence));
  engine::RecordedCommand recorded(impl_->context, found.registry, std::move(command), *output,
                                   follow);
  CallIo own = io;
  own.stdin_fd = -1;
  PYRO_RETURN_IF_ERROR(engine::CommandSession(recorded, io.sink, own).Run());
  return engine::DescribeCommand(impl_->context, recorded.command(), found.instance.accelerator);
}

}  // namespace pyro
