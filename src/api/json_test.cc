// The JSON of every value with all its fields, and of one without any.

#include "api/json.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/operations.h"
#include "base/json.h"
#include "sys/files.h"

namespace pyro {
namespace {

// Puts a value of its own into each field that it is given.
class Filler {
 public:
  template <typename... Fields>
  void operator()(Fields&... fields) {
    (Fill(fields), ...);
  }

 private:
  void Fill(std::string& text) { text = "text " + std::to_string(++number_); }
  void Fill(bool& flag) { flag = true; }
  void Fill(std::vector<std::string>& texts) {
    texts.resize(2);
    for (std::string& text : texts) Fill(text);
  }
  template <typename Number>
  void Fill(Number& number) {
    number = static_cast<Number>(++number_);
  }

  int number_ = 0;
};

void Fill(Filler& fill, ExecResult& result) {
  fill(result.stdout_text, result.stderr_text, result.stdout_bytes, result.stderr_bytes,
       result.stdout_truncated, result.stderr_truncated, result.exit_code);
  result.outcome = Outcome::kExited;
  fill(result.duration_ms);
  result.execution_mode = ExecutionMode::kGuestVirtioSerial;
  fill(result.environment, result.kernel, result.accelerator, result.output_left_open,
       result.explanation.message, result.explanation.hint);
  result.machine = "tcg";
  result.killed = {.count = 40, .gone = true, .processes = {{.pid = 7, .command = "sh"}}};
  Timings& timings = result.timings;
  fill(timings.prepared_ms, timings.supervised_ms, timings.machine_ms, timings.ready_ms,
       timings.first_output_ms, timings.ended_ms, timings.removed_ms, timings.start);
}

void Fill(Filler& fill, TaskCommand& command) {
  fill(command.sequence, command.command, command.cwd);
  command.user = "a user";
  command.state = CommandState::kEnded;
  command.outcome = Outcome::kSignalled;
  fill(command.exit_code, command.started_at, command.ended_at, command.duration_ms,
       command.timeout_seconds);
  command.execution_mode = ExecutionMode::kHostCompat;
  fill(command.stdout_bytes, command.stderr_bytes, command.stdout_dropped, command.stderr_dropped,
       command.output_left_open, command.explanation.message, command.explanation.hint);
  command.killed = {.count = 1, .gone = false, .processes = {{.pid = 8, .command = "make"}}};
}

void Fill(Filler& fill, EnvironmentInfo& info) {
  fill(info.name, info.description, info.installed, info.broken, info.outdated, info.digest,
       info.installed_at, info.size_bytes, info.last_used_at, info.source, info.image_digest);
}

void Fill(Filler& fill, ImageInfo& image) {
  fill(image.source, image.source_digest, image.manifest_digest, image.layers, image.layer_bytes,
       image.architecture, image.env, image.working_dir, image.user, image.entrypoint,
       image.command, image.stop_signal, image.left_out);
}

void Fill(Filler& fill, VmInfo& vm) {
  fill(vm.vm_id, vm.environment);
  vm.state = GuestState::kStarted;
  fill(vm.vcpu_count, vm.mem_mib, vm.ttl_seconds, vm.network_enabled, vm.allow_host_compat);
  vm.execution_mode = ExecutionMode::kPending;
  fill(vm.accelerator, vm.created_at, vm.expires_at, vm.last_error);
  vm.machine = "kvm";
}

void Fill(Filler& fill, TaskInfo& task) {
  fill(task.task_id, task.environment);
  task.state = GuestState::kStopped;
  fill(task.vcpu_count, task.mem_mib, task.disk_mib, task.ttl_seconds, task.network_enabled,
       task.allow_host_compat);
  task.execution_mode = ExecutionMode::kGuestVirtioSerial;
  task.read_only = "the disk failed";
  fill(task.accelerator, task.created_at, task.last_used_at, task.expires_at, task.last_error,
       task.command_count, task.disk_bytes, task.notices);
  task.machine = "tcg";
  task.labels = {{"key", "value"}, {"none", ""}};
  task.defaults = {.env = {"NAME"}, .cwd = "src", .user = "daemon", .timeout_seconds = 0};
  Fill(fill, task.last_command.emplace());
}

void Fill(Filler& fill, DoctorReport& report) {
  fill(report.platform, report.runtime_ok, report.kvm.exists, report.environment_cache,
       report.state_directory, report.capabilities.vm_boot, report.capabilities.guest_network,
       report.capabilities.host_compat, report.networking.ip_forward, report.accelerator.name,
       report.accelerator.reason, report.networking.backend, report.issues);
  report.machine = {"tcg", "why", "this host"};
  report.machines = {{"kvm", false, "no device", "buy one"}, {"tcg", true, "", ""}};
  report.configuration_file = "/config";
  DoctorCheck& check = report.checks.emplace_back();
  fill(check.name, check.ok, check.detail, check.fix);
  check.required = false;
  report.checks.emplace_back();
}

Json CommandForms() {
  Filler fill;
  ExecResult exec;
  Fill(fill, exec);
  TaskExecResult in_task;
  Fill(fill, in_task);
  fill(in_task.task_id, in_task.sequence, in_task.command, in_task.cwd, in_task.restarted);
  in_task.restart = {.kept = {"a file"},
                     .lost = {"memory"},
                     .interrupted = {{.sequence = 3, .command = {"sleep", "1"}}}};
  TaskCommand command;
  Fill(fill, command);
  TaskCommandInfo info;
  Fill(fill, info);
  fill(info.task_id);
  StartedTaskCommand started;
  Fill(fill, started);
  fill(started.task_id, started.environment, started.restarted);
  TaskCommandPage page;
  fill(page.task_id, page.total);
  Fill(fill, page.entries.emplace_back());
  page.entries.emplace_back();
  TaskOutput output;
  Fill(fill, output.command);
  fill(output.command.task_id, output.offset, output.next_offset, output.total_bytes, output.text,
       output.complete);
  output.stream = OutputStream::kStderr;
  TaskLogs logs;
  fill(logs.task_id);
  TaskLogEntry& entry = logs.entries.emplace_back();
  Fill(fill, entry);
  fill(entry.stdout_text, entry.stderr_text, entry.stdout_truncated, entry.stderr_truncated);
  logs.entries.emplace_back();
  return {{"ExecResult", ToJson(exec)},      {"TaskExecResult", ToJson(in_task)},
          {"TaskCommand", ToJson(command)},  {"TaskCommandInfo", ToJson(info)},
          {"TaskCommandPage", ToJson(page)}, {"StartedTaskCommand", ToJson(started)},
          {"TaskOutput", ToJson(output)},    {"TaskLogs", ToJson(logs)}};
}

Json GuestForms() {
  Filler fill;
  VmInfo vm;
  Fill(fill, vm);
  VmNetworkInfo network;
  fill(network.vm_id, network.network_enabled, network.address, network.gateway, network.dns,
       network.mac, network.prefix_length);
  TaskInfo task;
  Fill(fill, task);
  TaskList tasks;
  Fill(fill, tasks.tasks.emplace_back());
  tasks.tasks.emplace_back();
  ExportedPath exported;
  fill(exported.task_id, exported.path, exported.destination, exported.bytes, exported.notices);
  exported.restart = {.kept = {"a file"}, .lost = {"memory"}, .interrupted = {}};
  ReapedVms reaped;
  fill(reaped.vm_ids, reaped.leftovers);
  SparePoolInfo pool;
  fill(pool.environment, pool.vcpu_count, pool.mem_mib, pool.network, pool.count, pool.waiting,
       pool.ttl_seconds, pool.expires_at);
  const SparePools pools = {{pool, {}}};
  return {{"VmInfo", ToJson(vm)},
          {"VmNetworkInfo", ToJson(network)},
          {"TaskInfo", ToJson(task)},
          {"TaskList", ToJson(tasks)},
          {"ExportedPath", ToJson(exported)},
          {"ReapedVms", ToJson(reaped)},
          {"SparePoolInfo", ToJson(pool)},
          {"SparePools", ToJson(pools)}};
}

Json HostForms() {
  Filler fill;
  EnvironmentList environments;
  Fill(fill, environments.environments.emplace_back());
  environments.environments.emplace_back();
  EnvironmentDetails details;
  Fill(fill, details.info);
  fill(details.kernel_release, details.kernel_package, details.directory, details.files,
       details.packages, details.apt_sources, details.modules, details.tools);
  TemplateInfo& made = details.templates.emplace_back();
  fill(made.vcpu_count, made.mem_mib, made.network, made.new_disk, made.size_bytes, made.made_at,
       made.last_used_at);
  details.templates.emplace_back();
  Fill(fill, details.image.emplace());
  details.commit = {
      .task_id = "task_a",
      .task_name = "maker",
      .environment = "debian:12",
      .environment_digest = "aa",
      .committed_at = "2026-01-31T10:00:00.000Z",
      .workspace = true,
      .commands = {{7, "make", "/workspace", "app", "exited", 2, "2026-01-31T09:00:00.000Z"}},
      .more_commands = 3};
  PulledEnvironment pulled;
  Fill(fill, pulled.info);
  fill(pulled.built, pulled.left_out);
  RemovedEnvironment removed;
  fill(removed.environment, removed.bytes_freed);
  PrunedEnvironments pruned;
  fill(pruned.skipped, pruned.bytes_freed);
  PrunedEnvironments::Item& item = pruned.removed.emplace_back();
  fill(item.environment, item.what, item.digest, item.bytes);
  pruned.removed.emplace_back();
  DoctorReport report;
  Fill(fill, report);
  Error error = MakeError(ErrorCode::kNotFound, "message", "hint");
  error.sys_errno = 2;
  return {{"EnvironmentList", ToJson(environments)},
          {"EnvironmentDetails", ToJson(details)},
          {"PulledEnvironment", ToJson(pulled)},
          {"RemovedEnvironment", ToJson(removed)},
          {"PrunedEnvironments", ToJson(pruned)},
          {"DoctorReport", ToJson(report)},
          {"Error", ToJson(error)}};
}

Json EmptyForms() {
  return {{"ExecResult", ToJson(ExecResult())},
          {"TaskExecResult", ToJson(TaskExecResult())},
          {"TaskCommand", ToJson(TaskCommand())},
          {"TaskCommandInfo", ToJson(TaskCommandInfo())},
          {"TaskCommandPage", ToJson(TaskCommandPage())},
          {"StartedTaskCommand", ToJson(StartedTaskCommand())},
          {"TaskOutput", ToJson(TaskOutput())},
          {"TaskLogs", ToJson(TaskLogs())},
          {"VmInfo", ToJson(VmInfo())},
          {"VmNetworkInfo", ToJson(VmNetworkInfo())},
          {"TaskInfo", ToJson(TaskInfo())},
          {"TaskList", ToJson(TaskList())},
          {"ExportedPath", ToJson(ExportedPath())},
          {"ReapedVms", ToJson(ReapedVms())},
          {"SparePoolInfo", ToJson(SparePoolInfo())},
          {"SparePools", ToJson(SparePools())},
          {"EnvironmentList", ToJson(EnvironmentList())},
          {"EnvironmentDetails", ToJson(EnvironmentDetails())},
          {"PulledEnvironment", ToJson(PulledEnvironment())},
          {"CommittedEnvironment", ToJson(CommittedEnvironment())},
          {"ExportedEnvironment", ToJson(ExportedEnvironment())},
          {"RemovedEnvironment", ToJson(RemovedEnvironment())},
          {"PrunedEnvironments", ToJson(PrunedEnvironments())},
          {"DoctorReport", ToJson(DoctorReport())},
          {"Error", ToJson(Error())}};
}

TEST(JsonFormsTest, AreThoseOfTheGoldenFile) {
  const auto golden = sys::ReadFile(PYRO_API_TESTDATA "/json_forms.json", 1 << 20);
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  Json filled = CommandForms();
  filled.update(GuestForms());
  filled.update(HostForms());
  const Json all = {{"filled", filled}, {"empty", EmptyForms()}};
  EXPECT_EQ(ToPrettyJson(all) + "\n", *golden) << "forms are promised to users";
}

// So that results can travel.
TEST(JsonFormsTest, AreReadAsWhatTheyWereMadeOf) {
  const auto golden = sys::ReadFile(PYRO_API_TESTDATA "/json_forms.json", 1 << 20);
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const auto forms = ParseJson(*golden);
  ASSERT_TRUE(forms.ok()) << forms.error().message;
  std::set<std::string> seen;
  for (const api::Operation* operation : api::Operations()) {
    const api::Struct& rows = operation->result();
    for (const char* kind : {"filled", "empty"}) {
      if (!(*forms)[kind].contains(rows.name)) continue;
      const Json& form = (*forms)[kind][rows.name];
      const auto object = rows.make();
      const Status read = api::FromJson(rows, form, object.get());
      ASSERT_TRUE(read.ok()) << rows.name << ": " << read.error().message;
      EXPECT_EQ(api::ToJson(rows, object.get()), form) << rows.name;
      seen.insert(rows.name);
    }
  }
  EXPECT_GE(seen.size(), 19U);
}

}  // namespace
}  // namespace pyro
