// Operations as data: everything that a caller can ask of pyro, one row each. Any surface, and any
// transport, can make a call by its row: a document in, a document out.

#pragma once

#include <span>
#include <string_view>
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
  kGuest = 1,     // A guest runs, or is started.
  kCommand = 2,   // A command runs in it: streams, a timeout, an exit code.
  kHostPath = 4,  // Reads or writes a path of the host.
  kSink = 8,      // Its output goes to a sink, not into its result.
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
std::span<const Operation> TaskOperations();
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

namespace internal {

template <typename Request, typename Answer>
struct Caller {
  using Function = Result<Answer> (*)(Engine&, const Request&, const CallIo&);

  template <Function kFunction>
  static Status Call(Engine& engine, const void* request, void* result, const CallIo& io) {
    Result<Answer> answer = kFunction(engine, *static_cast<const Request*>(request), io);
    if (!answer) return std::move(answer).error();
    *static_cast<Answer*>(result) = std::move(*answer);
    return OkStatus();
  }
};

template <auto kFunction, typename Answer, typename Request>
constexpr Operation Fill(Operation operation,
                         Result<Answer> (*)(Engine&, const Request&, const CallIo&)) {
  operation.request = &Rows<Request>;
  operation.result = &Rows<Answer>;
  operation.call = &Caller<Request, Answer>::template Call<kFunction>;
  return operation;
}

}  // namespace internal

// The row of an operation that a function carries out.
template <auto kFunction>
constexpr Operation By(Operation operation) {
  return internal::Fill<kFunction>(operation, kFunction);
}

}  // namespace pyro::api
