#include "api/operations.h"

#include <algorithm>
#include <memory>
#include <string>

#include "base/try.h"

namespace pyro::api {
namespace {

template <typename F>
const Operation* Find(F is_it) {
  const auto all = Operations();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Operation* operation) { return is_it(*operation); });
  return found == all.end() ? nullptr : *found;
}

}  // namespace

std::vector<const Operation*> Operations() {
  std::vector<const Operation*> all;
  for (const auto part : {VmOperations(), NetworkOperations(), TaskOperations(),
                          TaskFileOperations(), HostOperations()}) {
    for (const Operation& operation : part) all.push_back(&operation);
  }
  return all;
}

const Operation* FindOperation(std::string_view name) {
  return Find([&](const Operation& operation) { return name == operation.name; });
}

const Operation* FindTool(std::string_view tool) {
  return Find([&](const Operation& operation) {
    return operation.tool != nullptr && tool == operation.tool;
  });
}

Result<Json> Call(Engine& engine, const Operation& operation, const Json& arguments,
                  const CallIo& io) {
  const std::shared_ptr<void> request = operation.request().make();
  PYRO_RETURN_IF_ERROR(FromJson(operation.request(), arguments, request.get()));
  const std::shared_ptr<void> result = operation.result().make();
  PYRO_RETURN_IF_ERROR(operation.call(engine, request.get(), result.get(), io));
  return ToJson(operation.result(), result.get());
}

}  // namespace pyro::api
