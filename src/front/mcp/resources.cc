// pyro://… : the results of tools as resources to read and to watch. Each has a tool with the same
// result, for clients that read no resources.

#include <fmt/format.h>

#include "api/json.h"
#include "base/head_tail.h"
#include "base/try.h"
#include "front/mcp/host.h"
#include "front/mcp/results.h"
#include "front/mcp/tools.h"
#include "front/mcp/watcher.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ResourceContents;

constexpr char kJson[] = "application/json";
constexpr char kText[] = "text/plain";
constexpr std::size_t kEntryBudget = 200'000;
constexpr std::int64_t kStreamHalf = 128 * 1024;  // Each end of a stream that is longer than two.
constexpr std::size_t kCompletions = 100;

constexpr mcp::CacheHint kStable = {.ttl_ms = 60'000, .shared = true};
constexpr mcp::CacheHint kLive = {.ttl_ms = 0, .shared = false};

using Contents = Result<std::vector<ResourceContents>>;

Contents JsonContents(const std::string& uri, const Json& form) {
  ResourceContents contents;
  contents.uri = uri;
  contents.mime_type = kJson;
  contents.text = ToPrettyJson(form);
  return std::vector<ResourceContents>{std::move(contents)};
}

Error NoResource(const std::string& uri) {
  return MakeError(ErrorCode::kNotFound, "there is no resource " + uri);
}

// All of a stream, or both ends of it.
Result<std::string> ReadStream(Engine& engine, const ResourceRef& ref) {
  PYRO_ASSIGN_OR_RETURN(
      const TaskOutput head,
      engine.ReadTaskOutput(ref.task_id, ref.sequence, ref.stream, 0, 2 * kStreamHalf));
  if (head.next_offset >= head.total_bytes) return head.text;
  const std::string first(
      PrefixWithin(head.text, static_cast<std::size_t>(kStreamHalf)));  // Ends at a character.
  PYRO_ASSIGN_OR_RETURN(
      const TaskOutput tail,
      engine.ReadTaskOutput(ref.task_id, ref.sequence, ref.stream,
                            head.total_bytes - static_cast<std::uint64_t>(kStreamHalf),
                            kStreamHalf));
  return fmt::format("{}\n[… {} bytes left out; read pages of it with task_logs]\n{}", first,
                     head.total_bytes - first.size() - tail.text.size(), tail.text);
}

Contents Read(const Host& host, const std::string& uri) {
  using Kind = ResourceRef::Kind;
  Engine& engine = host.engine;
  const ResourceRef ref = ParseResource(uri);
  switch (ref.kind) {
    case Kind::kEnvironments: {
      EnvironmentList list;
      PYRO_ASSIGN_OR_RETURN(list.environments, engine.ListEnvironments());
      return JsonContents(uri, ForModels(ToJson(list)));
    }
    case Kind::kTasks: {
      PYRO_ASSIGN_OR_RETURN(auto tasks, engine.ListTasks());
      return JsonContents(uri, ForModels(ToJson(TaskList{std::move(tasks)})));
    }
    case Kind::kTask: {
      PYRO_ASSIGN_OR_RETURN(const TaskInfo task, engine.StatusTask(ref.task_id));
      return JsonContents(uri, ForModels(ToJson(task)));
    }
    case Kind::kLogs: {
      PYRO_ASSIGN_OR_RETURN(const Json form, JournalForm(engine, ref.task_id, 0, kMaxEntries));
      return JsonContents(uri, form);
    }
    case Kind::kCommand: {
      PYRO_ASSIGN_OR_RETURN(const TaskLogs logs, engine.LogsTask(ref.task_id, ref.sequence, 1));
      if (logs.entries.empty() || logs.entries[0].sequence != ref.sequence) return NoResource(uri);
      return JsonContents(uri, EntryForm(logs.task_id, logs.entries[0], kEntryBudget));
    }
    case Kind::kStream: {
      ResourceContents contents;
      contents.uri = uri;
      contents.mime_type = kText;
      PYRO_ASSIGN_OR_RETURN(contents.text, ReadStream(engine, ref));
      return std::vector<ResourceContents>{std::move(contents)};
    }
    case Kind::kUnknown:
      break;
  }
  return NoResource(uri);
}

mcp::ReadHandler Reader(const Host& host) {
  return [host](CallContext&, const std::string& uri, const mcp::UriVariables&) -> Contents {
    auto contents = Read(host, uri);
    if (!contents) return ForModels(std::move(contents).error());
    return contents;
  };
}

mcp::CompletionHandler CompleteTask(const Host& host) {
  return [host](CallContext&, const std::string& value,
                const std::map<std::string, std::string>&) -> Result<std::vector<std::string>> {
    PYRO_ASSIGN_OR_RETURN(const auto tasks, host.engine.ListTasks());
    std::vector<std::string> found;
    for (auto task = tasks.rbegin(); task != tasks.rend() && found.size() < kCompletions; ++task) {
      if (task->task_id.starts_with(value)) found.push_back(task->task_id);
    }
    return found;
  };
}

mcp::CompletionHandler CompleteSequence(const Host& host) {
  return
      [host](CallContext&, const std::string& value,
             const std::map<std::string, std::string>& others) -> Result<std::vector<std::string>> {
        std::vector<std::string> found;
        const auto task_id = others.find("task_id");
        if (task_id == others.end()) return found;
        PYRO_ASSIGN_OR_RETURN(const TaskInfo task, host.engine.StatusTask(task_id->second));
        for (std::int64_t i = task.command_count; i > 0 && found.size() < kCompletions; --i) {
          std::string number = std::to_string(i);
          if (number.starts_with(value)) found.push_back(std::move(number));
        }
        return found;
      };
}

Result<std::vector<std::string>> CompleteStream(CallContext&, const std::string& value,
                                                const std::map<std::string, std::string>&) {
  std::vector<std::string> found;
  for (const char* stream : {"stdout", "stderr"}) {
    if (std::string_view(stream).starts_with(value)) found.emplace_back(stream);
  }
  return found;
}

mcp::ResourceLister Lister(const Host& host) {
  return [host](CallContext&) -> Result<std::vector<mcp::ResourceInfo>> {
    PYRO_ASSIGN_OR_RETURN(const auto tasks, host.engine.ListTasks());
    std::vector<mcp::ResourceInfo> list;
    for (const TaskInfo& task : tasks) {
      list.push_back({.uri = TaskUri(task.task_id),
                      .name = task.task_id,
                      .title = "Task of " + task.environment,
                      .description = fmt::format("{}, {} commands, made {}", Name(task.state),
                                                 task.command_count, task.created_at),
                      .mime_type = kJson,
                      .size = std::nullopt});
      list.push_back({.uri = TaskUri(task.task_id) + "/logs",
                      .name = task.task_id + " logs",
                      .title = "Journal of a task of " + task.environment,
                      .description = "Its newest commands with the ends of their output.",
                      .mime_type = kJson,
                      .size = std::nullopt});
    }
    return list;
  };
}

mcp::Resource Fixed(const Host& host, std::string name, std::string title, std::string description,
                    mcp::CacheHint cache) {
  mcp::Resource resource;
  resource.info.uri = "pyro://" + name;
  resource.info.name = std::move(name);
  resource.info.title = std::move(title);
  resource.info.description = std::move(description);
  resource.info.mime_type = kJson;
  resource.cache = cache;
  resource.read = Reader(host);
  return resource;
}

mcp::ResourceTemplate OfTask(const Host& host, std::string path, std::string name,
                             std::string title, std::string description, std::string type) {
  mcp::ResourceTemplate made;
  made.uri_template = "pyro://tasks/{task_id}" + path;
  made.name = std::move(name);
  made.title = std::move(title);
  made.description = std::move(description);
  made.mime_type = std::move(type);
  made.cache = kLive;
  made.read = Reader(host);
  made.completions["task_id"] = CompleteTask(host);
  if (path.find("{sequence}") != std::string::npos) {
    made.completions["sequence"] = CompleteSequence(host);
  }
  if (path.find("{stream}") != std::string::npos) made.completions["stream"] = CompleteStream;
  return made;
}

}  // namespace

Status AddResources(const Host& host) {
  mcp::Server& server = host.server;
  PYRO_RETURN_IF_ERROR(server.AddResource(
      Fixed(host, "environments", "Environments", "What machines can be made of.", kStable)));
  if (host.profile == McpProfile::kVmRun) return OkStatus();
  PYRO_RETURN_IF_ERROR(server.AddResource(
      Fixed(host, "tasks", "Tasks", "Every task with its state and its newest command.", kLive)));
  PYRO_RETURN_IF_ERROR(server.AddResourceTemplate(
      OfTask(host, "", "task", "A task", "State, lease and newest command of one task.", kJson)));
  PYRO_RETURN_IF_ERROR(server.AddResourceTemplate(
      OfTask(host, "/logs", "task logs", "A task's journal",
             "The newest commands of a task with the ends of their output.", kJson)));
  PYRO_RETURN_IF_ERROR(server.AddResourceTemplate(
      OfTask(host, "/commands/{sequence}", "task command", "A command of a task",
             "One journal entry; watch it while the command runs.", kJson)));
  PYRO_RETURN_IF_ERROR(server.AddResourceTemplate(
      OfTask(host, "/commands/{sequence}/{stream}", "task command output", "Output of a command",
             "stdout or stderr of one command: all of it, or 128 KiB of each end.", kText)));
  server.SetResourceLister(Lister(host));
  return OkStatus();
}

}  // namespace pyro::mcp_server
