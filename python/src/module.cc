// pyro_mcp._pyro: the engine's calls for pyro_mcp, which gives them their signatures and types.

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "api/event.h"
#include "api/json.h"
#include "api/operations.h"
#include "base/json.h"
#include "call.h"
#include "convert.h"
#include "pyro/engine.h"
#include "pyro/mcp_server.h"
#include "pyro/version.h"
#include "pyro/watch.h"

namespace pyro::python {
namespace {

namespace py = pybind11;

// A command as pyro_mcp hands it over: bytes for the shell, or a list of them.
using CommandWords = std::variant<std::vector<std::string>, std::string>;

// So that what is made here and what the engine returns are treated alike.
const Json& ToJson(const Json& json) { return json; }

Command MakeCommand(CommandWords words) {
  Command command;
  if (std::holds_alternative<std::string>(words)) {
    command.script = std::get<std::string>(std::move(words));
  } else {
    command.argv = std::get<std::vector<std::string>>(std::move(words));
  }
  return command;
}

// Python's logging tells what a user must know although the call goes on, and phases as they begin.
class Telling {
 public:
  explicit Telling(Caller& caller) : caller_(caller) {}

  void Connect(CallIo& io) {
    io.on_notice = [this](std::string_view notice) { Log("warning", notice); };
    io.on_progress = [this](std::string_view phase, std::string_view, double) {
      if (phase == phase_) return;
      phase_ = phase;
      Log("info", phase);
    };
  }

 private:
  void Log(const char* level, std::string_view text) {
    caller_.Run([&] {
      py::module_::import("logging")
          .attr("getLogger")("pyro_mcp")
          .attr(level)("%s", py::str(text.data(), text.size()));
    });
  }

  Caller& caller_;
  std::string phase_;
};

// Makes the call with what it needs from Python and returns its JSON form. `undo` gets the value of
// a call that succeeded although a handler of a signal raised meanwhile.
template <typename F>
py::object Call(
    F engine_call,
    std::function<void(const typename std::invoke_result_t<F, const CallIo&, Caller&>::value_type&)>
        undo = {}) {
  using Answer = std::invoke_result_t<F, const CallIo&, Caller&>;
  std::optional<Answer> answer;
  std::optional<Json> form;
  RunCall(
      [&](int cancel_fd, Caller& caller) {
        Telling telling(caller);
        CallIo io;
        io.cancel_fd = cancel_fd;
        telling.Connect(io);
        answer.emplace(engine_call(io, caller));
        if (answer->ok()) form = ToJson(**answer);
      },
      [&] {
        if (undo && answer && answer->ok()) undo(**answer);
      });
  if (!answer->ok()) Throw(answer->error());
  return ToPython(*form);
}

// For calls that cannot be interrupted, or are too short for it.
template <typename F>
py::object ShortCall(F engine_call) {
  using Answer = std::invoke_result_t<F>;
  std::optional<Answer> answer;
  std::optional<Json> form;
  {
    py::gil_scoped_release released;
    answer.emplace(engine_call());
    if (answer->ok()) form = ToJson(**answer);
  }
  if (!answer->ok()) Throw(answer->error());
  return ToPython(*form);
}

// A call without arguments, by the row of its operation.
py::object ByRow(Engine& engine, const char* name) {
  return ShortCall([&] { return api::Call(engine, *api::FindOperation(name), Json::object()); });
}

VmOptions MakeOptions(std::string environment, std::int64_t vcpu_count, std::int64_t mem_mib,
                      std::int64_t ttl_seconds, bool network, bool allow_host_compat) {
  VmOptions options;
  options.environment = std::move(environment);
  options.vcpu_count = vcpu_count;
  options.mem_mib = mem_mib;
  options.ttl_seconds = ttl_seconds;
  options.network = network;
  options.allow_host_compat = allow_host_compat;
  return options;
}

std::unique_ptr<Engine> MakeEngine() {
  Status prepared = Engine::PrepareProcess();
  if (!prepared) Throw(prepared.error());
  auto directories = Engine::DefaultDirectories();
  if (!directories) Throw(directories.error());
  return MakeLocalEngine(std::move(*directories));
}

py::object PullEnvironment(Engine& engine, const std::string& name) {
  return Call([&](const CallIo& io, Caller&) { return engine.PullEnvironment(name, io); });
}

// What a command reads, and where its output goes as it arrives; the callbacks may be None.
struct Streams {
  int stdin_fd = -1;
  py::object on_stdout;
  py::object on_stderr;
};

Streams MakeStreams(int stdin_fd, py::object on_stdout, py::object on_stderr) {
  return {stdin_fd, std::move(on_stdout), std::move(on_stderr)};
}

// As Call(), for one that runs a command with these streams.
template <typename F>
py::object CallWithStreams(const Streams& streams, F run_command) {
  return Call([&](CallIo io, Caller& caller) {
    io.stdin_fd = streams.stdin_fd;
    CallbackSink sink(caller, streams.on_stdout, streams.on_stderr);
    const bool live = streams.on_stdout.ptr() != Py_None || streams.on_stderr.ptr() != Py_None;
    if (live) io.sink = &sink;
    auto result = run_command(io);
    if (live && result) sink.Fill(*result);
    return result;
  });
}

py::object RunInVm(Engine& engine, const VmOptions& options, CommandWords words,
                   std::int64_t timeout_seconds, const Streams& streams) {
  const Command command = MakeCommand(std::move(words));
  return CallWithStreams(streams, [&](const CallIo& io) {
    return engine.RunInVm(options, command, timeout_seconds, io);
  });
}

py::object CreateVm(Engine& engine, const VmOptions& options) {
  return Call([&](const CallIo& io, Caller&) { return engine.CreateVm(options, io); },
              [&](const VmInfo& vm) { (void)engine.DeleteVm(vm.vm_id); });
}

py::object StartVm(Engine& engine, const std::string& vm_id) {
  return Call([&](const CallIo& io, Caller&) { return engine.StartVm(vm_id, io); });
}

py::object ExecVm(Engine& engine, const std::string& vm_id, CommandWords words,
                  std::int64_t timeout_seconds, const Streams& streams) {
  const Command command = MakeCommand(std::move(words));
  return CallWithStreams(streams, [&](const CallIo& io) {
    return engine.ExecVm(vm_id, command, timeout_seconds, io);
  });
}

py::object DeleteVm(Engine& engine, const std::string& vm_id) {
  return ShortCall([&]() -> Result<Json> {
    auto id = engine.DeleteVm(vm_id);
    if (!id) return std::move(id).error();
    return Json{{"vm_id", *id}, {"deleted", true}};
  });
}

py::object CreateTask(Engine& engine, const VmOptions& vm, std::int64_t disk_mib,
                      std::string source_path, std::vector<std::string> exclude, bool git) {
  TaskOptions options{vm};
  options.disk_mib = disk_mib;
  options.source_path = std::move(source_path);
  options.exclude = std::move(exclude);
  options.git = git;
  return Call([&](const CallIo& io, Caller&) { return engine.CreateTask(options, io); },
              [&](const TaskInfo& task) { (void)engine.DeleteTask(task.task_id); });
}

py::object ExecTask(Engine& engine, const std::string& task_id, CommandWords words,
                    std::int64_t timeout_seconds, const Streams& streams) {
  const Command command = MakeCommand(std::move(words));
  return CallWithStreams(streams, [&](const CallIo& io) {
    return engine.ExecTask(task_id, command, timeout_seconds, io);
  });
}

std::chrono::milliseconds Wait(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

py::object StartTaskCommand(Engine& engine, const std::string& task_id, CommandWords words,
                            std::int64_t timeout_seconds) {
  const Command command = MakeCommand(std::move(words));
  return Call([&](const CallIo& io, Caller&) {
    return engine.StartTaskCommand(task_id, command, timeout_seconds, io);
  });
}

py::object CancelTaskCommand(Engine& engine, const std::string& task_id, std::int64_t sequence) {
  return Call(
      [&](const CallIo& io, Caller&) { return engine.CancelTaskCommand(task_id, sequence, io); });
}

py::object GetTaskCommand(Engine& engine, const std::string& task_id, std::int64_t sequence,
                          double wait_seconds) {
  return Call([&](const CallIo& io, Caller&) {
    return engine.GetTaskCommand(task_id, sequence, Wait(wait_seconds), io);
  });
}

py::object ReadTaskOutput(Engine& engine, const std::string& task_id, std::int64_t sequence,
                          bool of_stderr, std::uint64_t offset, std::int64_t limit,
                          double wait_seconds) {
  return Call([&](const CallIo& io, Caller&) {
    return engine.ReadTaskOutput(task_id, sequence,
                                 of_stderr ? OutputStream::kStderr : OutputStream::kStdout, offset,
                                 limit, Wait(wait_seconds), io);
  });
}

py::object KeepSpares(Engine& engine, const VmOptions& options, std::int64_t count) {
  return Call([&](const CallIo& io, Caller&) { return engine.KeepSpares(options, count, io); });
}

py::object ReadTaskCommand(Engine& engine, const std::string& task_id, std::int64_t sequence,
                           bool follow, const Streams& streams) {
  return Call([&](CallIo io, Caller& caller) {
    CallbackSink sink(caller, streams.on_stdout, streams.on_stderr);
    io.sink = &sink;
    return engine.ReadTaskCommand(task_id, sequence,
                                  follow ? Engine::Follow::kYes : Engine::Follow::kNo, io);
  });
}

// False: a call did not end in time, and threads that still use the engine are left.
bool ServeMcp(Engine& engine, const std::string& profile) {
  const auto known = ParseMcpProfile(profile);
  if (!known) {
    Throw(MakeError(ErrorCode::kInvalidArgument, "there is no profile '" + profile + "'",
                    "there are vm-run, task and full"));
  }
  const py::object ended = Call([&](const CallIo& io, Caller&) -> Result<Json> {
    const Status status = ServeMcpOnStdio(engine, {.profile = *known}, io.cancel_fd);
    if (status) return Json(true);
    if (status.error().code == ErrorCode::kTimedOut) return Json(false);
    return status.error();
  });
  return ended.cast<bool>();
}

py::object DeleteTask(Engine& engine, const std::string& task_id) {
  return ShortCall([&]() -> Result<Json> {
    auto id = engine.DeleteTask(task_id);
    if (!id) return std::move(id).error();
    return Json{{"task_id", *id}, {"deleted", true}};
  });
}

py::object ExportTask(Engine& engine, const std::string& task_id, const std::string& path,
                      const std::string& destination, bool force, int out_fd) {
  ExportOptions options;
  options.force = force;
  options.out_fd = out_fd;
  return Call([&](const CallIo& io, Caller&) {
    return engine.ExportTask(task_id, path, destination, options, io);
  });
}

std::unique_ptr<EventStream> Watch(Engine& engine, const std::string& id) {
  std::optional<Result<std::unique_ptr<EventStream>>> stream;
  {
    py::gil_scoped_release released;
    stream.emplace(engine.Watch(id));
  }
  if (!*stream) Throw(stream->error());
  return std::move(**stream);
}

void AddEngine(py::module_& module) {
  py::class_<EventStream>(module, "EventStream")
      .def("next",
           [](EventStream& stream, double wait_seconds) {
             return Call([&](const CallIo& io, Caller&) -> Result<Json> {
               auto events = stream.Next(Wait(wait_seconds), io);
               if (!events) return std::move(events).error();
               return pyro::ToJson(*events);
             });
           })
      .def("interrupt", &EventStream::Interrupt)
      .def("fileno", &EventStream::fd);
  py::class_<VmOptions>(module, "VmOptions")
      .def(py::init(&MakeOptions), py::arg("environment"), py::arg("vcpu_count"),
           py::arg("mem_mib"), py::arg("ttl_seconds"), py::arg("network"),
           py::arg("allow_host_compat"));
  py::class_<Streams>(module, "Streams").def(py::init(&MakeStreams));
  py::class_<Engine>(module, "Engine")
      .def(py::init(&MakeEngine))
      .def("list_environments", [](Engine& engine) { return ByRow(engine, "env list"); })
      .def("pull_environment", &PullEnvironment)
      .def("inspect_environment",
           [](Engine& engine, const std::string& name, bool verify) {
             return ShortCall([&] {
               return engine.InspectEnvironment(
                   name, verify ? Engine::Verify::kYes : Engine::Verify::kNo);
             });
           })
      .def("prune_environments",
           [](Engine& engine, bool all) {
             return ShortCall([&] {
               return engine.PruneEnvironments(all ? Engine::PruneScope::kAll
                                                   : Engine::PruneScope::kLeftovers);
             });
           })
      .def("run_in_vm", &RunInVm)
      .def("create_vm", &CreateVm)
      .def("start_vm", &StartVm)
      .def("exec_vm", &ExecVm)
      .def("stop_vm",
           [](Engine& engine, const std::string& vm_id) {
             return ShortCall([&] { return engine.StopVm(vm_id); });
           })
      .def("delete_vm", &DeleteVm)
      .def("status_vm",
           [](Engine& engine, const std::string& vm_id) {
             return ShortCall([&] { return engine.StatusVm(vm_id); });
           })
      .def("list_vms", [](Engine& engine) { return ByRow(engine, "vm list"); })
      .def("network_info_vm",
           [](Engine& engine, const std::string& vm_id) {
             return ShortCall([&] { return engine.NetworkInfoVm(vm_id); });
           })
      .def("keep_spares", &KeepSpares)
      .def("list_spares", [](Engine& engine) { return ByRow(engine, "warm list"); })
      .def("doctor", [](Engine& engine) { return ShortCall([&] { return engine.Doctor(); }); })
      .def("reap_expired",
           [](Engine& engine) { return ShortCall([&] { return engine.ReapExpired(); }); })
      .def("create_task", &CreateTask)
      .def("exec_task", &ExecTask)
      .def("status_task",
           [](Engine& engine, const std::string& task_id) {
             return ShortCall([&] { return engine.StatusTask(task_id); });
           })
      .def("logs_task",
           [](Engine& engine, const std::string& task_id, std::int64_t first, std::int64_t limit) {
             return ShortCall([&] { return engine.LogsTask(task_id, first, limit); });
           })
      .def("list_tasks", [](Engine& engine) { return ByRow(engine, "task list"); })
      .def("stop_task",
           [](Engine& engine, const std::string& task_id) {
             return ShortCall([&] { return engine.StopTask(task_id); });
           })
      .def("start_task_command", &StartTaskCommand)
      .def("cancel_task_command", &CancelTaskCommand)
      .def("get_task_command", &GetTaskCommand)
      .def("list_task_commands",
           [](Engine& engine, const std::string& task_id, std::int64_t first, std::int64_t limit) {
             return ShortCall([&] { return engine.ListTaskCommands(task_id, first, limit); });
           })
      .def("read_task_command", &ReadTaskCommand)
      .def("read_task_output", &ReadTaskOutput)
      .def("serve_mcp", &ServeMcp)
      .def("watch", &Watch)
      .def("delete_task", &DeleteTask)
      .def("export_task", &ExportTask);
}

py::tuple ErrorCodes() {
  py::list names;
#define PYRO_ERROR_CODE(constant, number, name) names.append(name);
#include "pyro/error_codes.def"
#undef PYRO_ERROR_CODE
  return py::tuple(names);
}

}  // namespace
}  // namespace pyro::python

PYBIND11_MODULE(_pyro, module) {
  module.attr("VERSION") = pyro::kVersion;
  module.attr("ERROR_CODES") = pyro::python::ErrorCodes();
  module.attr("DEFAULT_TIMEOUT_SECONDS") = pyro::kDefaultTimeoutSeconds;
  pyro::python::AddEngine(module);
}
