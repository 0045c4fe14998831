// What can be changed of a task: name, labels, lease and the defaults of its commands.

#include "engine/task/task_settings.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/describe.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "state/instance/instance_directory.h"
#include "state/instance/task_variables.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;

using Pairs = std::map<std::string, std::string>;

constexpr std::size_t kMaxKeyBytes = 63;
constexpr std::size_t kMaxValueBytes = 256;
constexpr std::string_view kLettersAndDigits =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

Status CheckName(const std::string& name) {
  if (!state::LooksLikeId(name)) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("the name '{}' looks like an id", name),
                   "give one that does not begin with task_ or vm_");
}

Status CheckKey(std::string_view key) {
  const auto plain = [](char c) {
    return kLettersAndDigits.find(c) != std::string_view::npos || c == '.' || c == '_' ||
           c == '-' || c == '/';
  };
  if (!key.empty() && key.size() <= kMaxKeyBytes &&
      kLettersAndDigits.find(key[0]) != std::string_view::npos &&
      std::all_of(key.begin(), key.end(), plain)) {
    return OkStatus();
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the label '{}' has an impossible key", Printable(key, 80)),
                   "a key has 1 to 63 characters of A-Z a-z 0-9 . _ - / and begins with a letter "
                   "or digit");
}

Status CheckLabels(const Pairs& labels) {
  for (const auto& [key, value] : labels) {
    PYRO_RETURN_IF_ERROR(CheckKey(key));
    if (value.size() <= kMaxValueBytes && IsUtf8(value) && HiddenCharacter(value).empty()) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the label '{}' has an impossible value", key),
                     "a value is UTF-8 text of up to 256 bytes, without control and format "
                     "characters");
  }
  if (labels.size() <= kMaxLabels) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("there are {} labels", labels.size()),
                   fmt::format("a task takes {}", kMaxLabels));
}

// As any command would be checked that has them.
Status CheckDefaults(const Pairs& env, const std::string& cwd, const std::string& user) {
  return Engine::CheckCommand(
      Command{.argv = {"true"}, .script = {}, .env = env, .cwd = cwd, .user = user});
}

constexpr const char* kUnsettable = "name, labels, env, cwd, user, timeout_seconds";

// What a task has that can be changed.
struct Settings {
  state::InstanceSpec& spec;
  Pairs& env;
};

Status Unset(const std::string& what, Settings task) {
  if (what.starts_with("labels.")) {
    task.spec.labels.erase(what.substr(7));
  } else if (what.starts_with("env.")) {
    task.env.erase(what.substr(4));
  } else if (what == "name") {
    task.spec.name.clear();
  } else if (what == "labels") {
    task.spec.labels.clear();
  } else if (what == "env") {
    task.env.clear();
  } else if (what == "cwd") {
    task.spec.cwd.clear();
  } else if (what == "user") {
    task.spec.user.clear();
  } else if (what == "timeout_seconds") {
    task.spec.timeout_seconds.reset();
  } else {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("there is nothing to unset at '{}'", Printable(what, 80)),
                     fmt::format("give one of {}, or labels.KEY or env.NAME", kUnsettable));
  }
  return OkStatus();
}

// Without a value of `more`, that of the task stays.
void Put(const Pairs& more, Pairs& into) {
  for (const auto& [key, value] : more) into[key] = value;
}

Status Put(const TaskChanges& changes, Settings task) {
  for (const std::string& what : changes.unset) PYRO_RETURN_IF_ERROR(Unset(what, task));
  if (!changes.name.empty()) task.spec.name = changes.name;
  Put(changes.labels, task.spec.labels);
  if (changes.ttl_seconds) task.spec.ttl = std::chrono::seconds(*changes.ttl_seconds);
  Put(changes.env, task.env);
  if (!changes.cwd.empty()) task.spec.cwd = changes.cwd;
  if (!changes.user.empty()) task.spec.user = changes.user;
  if (changes.timeout_seconds) task.spec.timeout_seconds = changes.timeout_seconds;
  return OkStatus();
}

bool ChangesVariables(const TaskChanges& changes) {
  return !changes.env.empty() ||
         std::any_of(changes.unset.begin(), changes.unset.end(),
                     [](const std::string& what) { return what.starts_with("env"); });
}

// Those of the task as it is, unless all of them are replaced.
Result<Pairs> VariablesBefore(const std::filesystem::path& directory, const InstanceRecord& task,
                              const TaskChanges& changes) {
  auto read = state::ReadTaskVariables(directory, task);
  const bool replaced =
      std::find(changes.unset.begin(), changes.unset.end(), "env") != changes.unset.end();
  return !read && replaced ? Pairs() : std::move(read);
}

// Those that were proposed for the row are written to their own file. Until then they count, too.
Status SettleVariables(Found& found, const std::filesystem::path& directory) {
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord now, found.registry.Get(found.instance.id));
  return state::SettleTaskVariables(directory, now);
}

// Row, manifest and variables in one transaction: of two that change a task at once, all three keep
// what one of them wrote. The commit of the row is the moment of the change.
Result<InstanceRecord> Store(const Context& context, Found& found, const TaskChanges& changes) {
  const InstanceId& id = found.instance.id;
  const auto directory = state::InstanceDirectory(context.state, id);
  const bool variables = ChangesVariables(changes);
  std::optional<InstanceRecord> task;
  PYRO_RETURN_IF_ERROR(found.registry.WithExclusive([&]() -> Status {
    Pairs env;
    PYRO_RETURN_IF_ERROR(SettleVariables(found, directory));
    if (variables) {
      PYRO_ASSIGN_OR_RETURN(env, VariablesBefore(directory, found.instance, changes));
    }
    const auto change = [&](state::InstanceSpec& spec) -> Status {
      PYRO_RETURN_IF_ERROR(Put(changes, {spec, env}));
      PYRO_RETURN_IF_ERROR(CheckLabels(spec.labels));
      return CheckDefaults(env, spec.cwd, spec.user);
    };
    PYRO_ASSIGN_OR_RETURN(task, found.registry.Configure(id, change));
    if (variables) PYRO_RETURN_IF_ERROR(state::ProposeTaskVariables(directory, *task, env));
    PYRO_FAILPOINT("task.update.variables-written");
    PYRO_RETURN_IF_ERROR(state::ReplaceManifest(context.state, *task));
    PYRO_FAILPOINT("task.update.manifest-written");
    return OkStatus();
  }));
  PYRO_FAILPOINT("task.update.row-committed");
  if (variables) {
    (void)found.registry.WithExclusive([&] { return SettleVariables(found, directory); });
    PYRO_FAILPOINT("task.update.variables-settled");
  }
  return std::move(*task);
}

}  // namespace

Status CheckSettings(const TaskOptions& options) {
  PYRO_RETURN_IF_ERROR(CheckName(options.name));
  PYRO_RETURN_IF_ERROR(CheckLabels(options.labels));
  if (options.image_cwd && !options.cwd.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "cwd and image_cwd are both set",
                     "give one of them");
  }
  return CheckDefaults(options.env, options.cwd, options.user);
}

Status CheckLabelFilter(const std::vector<std::string>& labels) {
  for (const std::string& label : labels) {
    PYRO_RETURN_IF_ERROR(CheckKey(std::string_view(label).substr(0, label.find('='))));
  }
  return OkStatus();
}

bool HasLabels(const InstanceRecord& task, const std::vector<std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const std::string& label) {
    const std::size_t equals = label.find('=');
    const auto found = task.labels.find(label.substr(0, equals));
    return found != task.labels.end() &&
           (equals == std::string::npos || found->second == label.substr(equals + 1));
  });
}

Result<Command> WithDefaults(const Context& context, const InstanceRecord& task,
                             const Command& command) {
  Command whole = command;
  PYRO_ASSIGN_OR_RETURN(
      Pairs env, state::ReadTaskVariables(state::InstanceDirectory(context.state, task.id), task));
  whole.env.merge(env);
  if (whole.cwd.empty()) whole.cwd = task.cwd;
  if (whole.user.empty()) whole.user = task.user;
  return whole;
}

Result<TaskInfo> LocalEngine::RenameTask(const std::string& task_id, const std::string& name) {
  TaskChanges changes;
  name.empty() ? changes.unset.emplace_back("name") : changes.name = name;
  return UpdateTask(task_id, changes);
}

Result<TaskInfo> LocalEngine::UpdateTask(const std::string& task_id, const TaskChanges& changes) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(changes));
  PYRO_RETURN_IF_ERROR(CheckName(changes.name));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_RETURN_IF_ERROR(CheckMade(context_, found.instance.id));
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, Store(context_, found, changes));
  // Its supervisor looks for another lease whenever a client greets it.
  if (task.ttl != found.instance.ttl) PYRO_RETURN_IF_ERROR(Take(context_, found));
  return DescribeTask(context_, found.registry, task);
}

}  // namespace pyro::engine
