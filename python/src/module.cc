// pyro_mcp._pyro: the engine's calls for pyro_mcp, which gives them their signatures and types.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <pybind11/pybind11.h>

#include "api/event.h"
#include "api/json.h"
#include "api/operations.h"
#include "base/json.h"
#include "base/try.h"
#include "call.h"
#include "convert.h"
#include "pyro/engine.h"
#include "pyro/mcp_server.h"
#include "pyro/version.h"
#include "pyro/watch.h"

namespace pyro::python {
namespace {

namespace py = pybind11;

// An argument as JSON. Bytes stay as they are: words and paths need not be UTF-8.
Json ToArgument(py::handle value) {
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value)) return value.cast<std::int64_t>();
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::bytes>(value)) return value.cast<std::string>();
  if (py::isinstance<py::dict>(value)) {
    Json object = Json::object();
    for (const auto& [name, item] : value.cast<py::dict>()) {
      object[name.cast<std::string>()] = ToArgument(item);
    }
    return object;
  }
  Json list = Json::array();
  for (const py::handle item : value) list.push_back(ToArgument(item));
  return list;
}

// Python's logging tells what a user must know although the call goes on, and phases as they begin.
class Telling {
 public:
  explicit Telling(Caller& caller) : caller_(caller) {}

  void Connect(CallIo& io) {
    io.on_notice = [this](std::string_view notice) { Log("warning", notice); };
    io.on_advice = [this](std::string_view advice) { Log("warning", advice); };
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

// Makes the call with what it needs from Python and returns its JSON form. `undo` gets the form of
// a call that succeeded although a handler of a signal raised meanwhile.
template <typename F>
py::object MakeCall(F engine_call, const std::function<void(const Json&)>& undo = {},
                    Output output = Output::kText) {
  std::optional<Result<Json>> answer;
  RunCall(
      [&](int cancel_fd, Caller& caller) {
        Telling telling(caller);
        CallIo io;
        io.cancel_fd = cancel_fd;
        telling.Connect(io);
        answer.emplace(engine_call(io, caller));
      },
      [&] {
        if (undo && answer && answer->ok()) undo(**answer);
      });
  if (!answer->ok()) Throw(answer->error());
  return ToPython(**answer, output);
}

std::unique_ptr<Engine> MakeEngine() {
  Status prepared = Engine::PrepareProcess();
  if (!prepared) Throw(prepared.error());
  auto directories = Engine::DefaultDirectories();
  if (!directories) Throw(directories.error());
  return MakeLocalEngine(std::move(*directories));
}

// What was made is deleted again.
void Unmake(Engine& engine, const Json& made) {
  for (const auto& [id, operation] :
       {std::pair("vm_id", "vm delete"), std::pair("task_id", "task delete")}) {
    if (!made.contains(id)) continue;
    (void)api::Call(engine, *api::FindOperation(operation), {{id, made[id]}});
  }
}

// An export or a copy to a descriptor, which no document can name.
Result<Json> ExportTo(Engine& engine, std::string_view name, const Json& arguments, int out_fd,
                      const CallIo& io) {
  if (name == "task copy-out") {
    CopyFromTaskRequest copy;
    PYRO_RETURN_IF_ERROR(api::FromJson(arguments, copy));
    PYRO_ASSIGN_OR_RETURN(const CopiedPath copied, engine.CopyFromTask(copy, out_fd, io));
    return ToJson(copied);
  }
  ExportTaskRequest request;
  PYRO_RETURN_IF_ERROR(api::FromJson(arguments, request));
  PYRO_ASSIGN_OR_RETURN(const ExportedPath exported,
                        engine.ExportTask(request.task_id, request.path, "",
                                          {.force = request.force, .out_fd = out_fd}, io));
  return ToJson(exported);
}

// Takes the content of a file: into a descriptor, or without one into memory.
class ContentSink : public OutputSink {
 public:
  explicit ContentSink(int fd) : fd_(fd) {}

  int WritableFd(OutputStream) override { return fd_; }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    if (fd_ < 0) {
      content_ += bytes;
      return bytes.size();
    }
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR || errno == EAGAIN) return std::size_t{0};
    return MakeError(ErrorCode::kUnavailable,
                     std::string("the content cannot be written: ") + strerrordesc_np(errno));
  }

  py::bytes Content() const { return {content_}; }

 private:
  int fd_;
  std::string content_;
};

// The call of an operation by its name. The callbacks may be None.
py::object CallOperation(Engine& engine, const std::string& name, const py::dict& arguments,
                         int stdin_fd, int out_fd, const py::object& on_stdout,
                         const py::object& on_stderr, bool bytes) {
  const api::Operation& operation = *api::FindOperation(name);
  Json document = Json::object();
  for (const auto& [key, value] : arguments) document[key.cast<std::string>()] = ToArgument(value);
  const bool live = on_stdout.ptr() != Py_None || on_stderr.ptr() != Py_None;
  const bool needs_sink = (operation.needs & api::kSink) != 0;
  if ((operation.needs & api::kContentOut) != 0) {
    ContentSink content(out_fd);
    MakeCall([&](CallIo io, Caller&) -> Result<Json> {
      io.sink = &content;
      return api::Call(engine, operation, document, io);
    });
    return content.Content();
  }
  std::function<void(const Json&)> undo;
  if (operation.effect == api::Effect::kCreates) {
    undo = [&engine](const Json& made) { Unmake(engine, made); };
  }
  return MakeCall(
      [&](CallIo io, Caller& caller) -> Result<Json> {
        if (out_fd >= 0) return ExportTo(engine, name, document, out_fd, io);
        CallbackSink sink(caller, on_stdout, on_stderr);
        io.stdin_fd = stdin_fd;
        if (live || needs_sink) io.sink = &sink;
        Result<Json> answer = api::Call(engine, operation, document, io);
        if (answer && live && !needs_sink) sink.Fill(*answer);
        return answer;
      },
      undo, bytes ? Output::kBytes : Output::kText);
}

// False: a call or a build did not end in time, and threads that still use the engine are left.
bool ServeMcp(Engine& engine, const std::string& profile, std::int64_t spares) {
  const auto known = ParseMcpProfile(profile);
  if (!known) {
    Throw(MakeError(ErrorCode::kInvalidArgument, "there is no profile '" + profile + "'",
                    "there are vm-run, task and full"));
  }
  const py::object ended = MakeCall([&](const CallIo& io, Caller&) -> Result<Json> {
    const Status status =
        ServeMcpOnStdio(engine, {.profile = *known, .spares = spares}, io.cancel_fd);
    if (status) return Json(true);
    if (status.error().code == ErrorCode::kTimedOut) return Json(false);
    return status.error();
  });
  return ended.cast<bool>();
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
             return MakeCall([&](const CallIo& io, Caller&) -> Result<Json> {
               const std::chrono::milliseconds wait(std::llround(wait_seconds * 1000));
               auto events = stream.Next(wait, io);
               if (!events) return std::move(events).error();
               return pyro::ToJson(*events);
             });
           })
      .def("interrupt", &EventStream::Interrupt)
      .def("fileno", &EventStream::fd);
  py::class_<Engine>(module, "Engine")
      .def(py::init(&MakeEngine))
      .def("call", &CallOperation)
      .def("watch", &Watch)
      .def("serve_mcp", &ServeMcp);
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
  module.def("file_header",
             [](const pybind11::bytes& path, std::uint64_t bytes, std::int64_t mode) {
               return pybind11::bytes(pyro::Engine::FileHeader(path, bytes, mode));
             });
  module.attr("ERROR_CODES") = pyro::python::ErrorCodes();
  module.attr("DEFAULT_TIMEOUT_SECONDS") = pyro::kDefaultTimeoutSeconds;
  pyro::python::AddEngine(module);
}
