#include "pyro/engine.h"

#include <unistd.h>

#include <utility>

#include "base/try.h"
#include "engine/context.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "sys/process_state.h"
#include "wire/files.h"

namespace pyro {

Status Engine::PrepareProcess() {
  sys::PrepareHostProcess();
  return sys::CheckOpenFiles();
}

std::string Engine::FileHeader(const std::string& path, std::uint64_t bytes, std::int64_t mode) {
  return wire::FileRecord(wire::FileHeader{path, static_cast<std::int64_t>(bytes), mode});
}

namespace engine {

Result<ReapedVms> LocalEngine::ReapExpired() {
  // Without a state directory there are no leftovers, and none need be created.
  if (::access(context_.state.c_str(), F_OK) != 0) return ReapedVms{};
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenRegistry(context_));
  return ReconcileAll(registry, context_, InstanceKind::kVm);
}

Result<state::Registry> OpenRegistry(const Context& context) {
  return state::Registry::Open(context.state, context.clock);
}

bool MeansNoGuest(const Error& error) {
  switch (error.code) {
    case ErrorCode::kGuestUnavailable:
    case ErrorCode::kMissingTool:
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimedOut:
    case ErrorCode::kProtocol:
    case ErrorCode::kPermissionDenied:
      return true;
    default:
      return false;
  }
}

std::string HostCompatNotice(const Error& why) {
  return "no guest can start (" + why.message +
         "); the command runs on this host in a bubblewrap jail: this is not a virtual machine, "
         "and CPU and memory are not limited";
}

}  // namespace engine
}  // namespace pyro
