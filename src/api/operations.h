// Operations as data: everything that a caller can ask of pyro, one row each. Any surface, and any
// transport, can make a call by its row: a document in, a document out.

#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "api/field.h"
#include "api/json.h"
#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::api {

enum class Effect {
  kReads,
  kCreates,
  kChanges,
  kEnds,  // What it takes away does not come back.
};

// What a call needs beside its arguments.
enum Needs : unsigned {
  kNothing = 0,
  kGuest = 1,        // A guest runs, or is started.
  kCommand = 2,      // A command runs in it: streams, a timeout, an exit code.
  kHostPath = 4,     // Reads or writes a path of the host.
  kSink = 8,         // Its output goes to a sink, not into its result.
  kStdin = 16,       // Reads its caller's stdin.
  kContentIn = 32,   // Bytes that it takes from stdin.
  kContentOut = 64,  // Bytes that it gives to a sink; what they are is not part of its result.
};

struct Operation {
  const char* name;            // The words of the command line, such as "task export".
  const char* method;          // In Python, such as "export_task".
  const char* tool = nullptr;  // In MCP, such as "task_export"; nullptr: none of its own.
  Effect effect;
  unsigned needs = kNothing;         // Of Needs.
  const char* sentence;              // For people.
  const char* for_models = nullptr;  // The tool's description.
  // Of a command line that is made from this row; nullptr: src/front/cli has a file for it, or none
  // is there.
  const char* example = nullptr;
  const char* for_python = nullptr;  // The method's docstring, with empty lines; else `sentence`.
  const char* command = nullptr;     // On the command line, if `name` alone does not do it.
  const char* no_tool = nullptr;     // Without a tool: which one does it, or why none does.
  // By() sets these.
  const Struct& (*request)() = nullptr;
  const Struct& (*result)() = nullptr;
  Status (*call)(Engine& engine, const void* request, void* result, const CallIo& io) = nullptr;
};

// In the order of documents. Of VMs, tasks, and this host.
std::span<const Operation> VmOperations();
std::span<const Operation> NetworkOperations();
std::span<const Operation> TaskOperations();
std::span<const Operation> TaskFileOperations();
std::span<const Operation> HostOperations();
std::vector<const Operation*> Operations();

// nullptr: there is none of this name, or with this tool.
const Operation* FindOperation(std::string_view name);
const Operation* FindTool(std::string_view tool);

// Makes the call. kInvalidArgument: the arguments are not those of the operation. Other errors are
// those of the engine's call.
Result<Json> Call(Engine& engine, const Operation& operation, const Json& arguments,
                  const CallIo& io = {});

// All rows as one document: docs/api.json.
Json DescribeApi();

// Stands for the whole request among the arguments of a method.
inline constexpr struct Whole {
} kWhole{};

namespace internal {

// Becomes the enum of two values that a method takes, too.
struct Flag {
  bool value;
  template <typename T>
  operator T() const {  // NOLINT(google-explicit-constructor)
    return static_cast<T>(value);
  }
};

template <typename Request, typename T>
decltype(auto) Pick(const Request& request, T argument) {
  if constexpr (std::is_same_v<T, Whole>) {
    return (request);
  } else if constexpr (std::is_same_v<decltype(request.*argument), const bool&>) {
    return Flag{request.*argument};
  } else {
    return (request.*argument);
  }
}

template <auto kMethod, typename... Arguments>
auto Invoke(Engine& engine, const CallIo& io, const Arguments&... arguments) {
  if constexpr (std::is_invocable_v<decltype(kMethod), Engine&, const Arguments&...,
                                    const CallIo&>) {
    return std::invoke(kMethod, engine, arguments..., io);
  } else {
    return std::invoke(kMethod, engine, arguments...);
  }
}

template <typename Request, auto kMethod, auto... kArguments>
auto CallMethod(Engine& engine, const Request& request, const CallIo& io) {
  return Invoke<kMethod>(engine, io, Pick(request, kArguments)...);
}

template <typename Answer, typename Request, auto kInto, auto kMethod, auto... kArguments>
Status Call(Engine& engine, const void* request, void* result, const CallIo& io) {
  auto answer = CallMethod<Request, kMethod, kArguments...>(
      engine, *static_cast<const Request*>(request), io);
  if (!answer) return std::move(answer).error();
  Answer& to = *static_cast<Answer*>(result);
  if constexpr (std::is_same_v<std::remove_cv_t<decltype(kInto)>, Whole>) {
    to = std::move(*answer);
  } else {
    to.*kInto = std::move(*answer);
  }
  return OkStatus();
}

template <typename Answer, typename Request, auto... kCall>
constexpr Operation Fill(Operation operation) {
  operation.request = &Rows<Request>;
  operation.result = &Rows<Answer>;
  operation.call = &Call<Answer, Request, kCall...>;
  return operation;
}

template <typename T>
T ValueOf(const Result<T>&);
template <typename T, typename Member>
T OwnerOf(Member T::*);

}  // namespace internal

// The row of an operation that a method of Engine, or a function with an Engine&, carries out. Its
// arguments are these members of the request, and CallIo if it takes one.
template <typename Request, auto kMethod, auto... kArguments>
constexpr Operation By(Operation operation) {
  using Answer = decltype(internal::ValueOf(internal::CallMethod<Request, kMethod, kArguments...>(
      std::declval<Engine&>(), std::declval<const Request&>(), std::declval<const CallIo&>())));
  return internal::Fill<Answer, Request, kWhole, kMethod, kArguments...>(operation);
}

// The same where the answer of the method is one member of the result.
template <auto kInto, typename Request, auto kMethod, auto... kArguments>
constexpr Operation By(Operation operation) {
  using Answer = decltype(internal::OwnerOf(kInto));
  return internal::Fill<Answer, Request, kInto, kMethod, kArguments...>(operation);
}

}  // namespace pyro::api
