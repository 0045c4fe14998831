#include "state/row_values.h"

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::state {

std::string_view Name(InstanceOwner owner) {
  switch (owner) {
    case InstanceOwner::kLease:
      return "lease";
    case InstanceOwner::kRun:
      return "run";
  }
  return "";
}

Error BadRow(std::string_view thing, std::string_view what, std::string_view value) {
  return MakeError(
      ErrorCode::kDataLoss,
      fmt::format("the registry holds a {} whose {} is '{}'", thing, what, Printable(value)),
      "something else than pyro has written to registry.db: move it away, and a new one is made");
}

}  // namespace pyro::state
