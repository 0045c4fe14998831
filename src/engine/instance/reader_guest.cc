#include "engine/instance/reader_guest.h"

#include <chrono>
#include <utility>

#include "base/try.h"
#include "engine/instance/instance_guest.h"
#include "state/instance/instance_directory.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

constexpr std::chrono::seconds kRemoveLimit{30};

}  // namespace

Result<ReaderGuest> ReaderGuest::Start(const Context& context, const ReaderWish& wish,
                                       const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenReconciled(context, InstanceKind::kVm));
  VmOptions options;
  options.environment = wish.environment;
  options.mem_mib = wish.mem_mib;
  state::InstanceSpec spec = MakeSpec(InstanceKind::kVm, options, wish.digest);
  spec.owner = state::InstanceOwner::kRun;
  spec.machine = wish.machine;
  PYRO_ASSIGN_OR_RETURN(const NewInstance vm, CreateOnDisk(registry, context, spec));
  const std::filesystem::path disk = state::DataImage(context.state, spec.id);
  auto link = [&]() -> Result<SupervisorLink> {
    PYRO_RETURN_IF_ERROR(wish.fill(disk));
    PYRO_FAILPOINT("reader.filled");
    return StartGuest(context, vm.record, vm.lock, {}, io);
  }();
  if (link) return ReaderGuest(std::move(*link), disk);
  (void)RemoveFromDisk(registry, context, spec.id);
  return std::move(link).error();
}

void ReaderGuest::Remove() {
  (void)link_.Stop(wire::Stop{.remove = true}, Deadline::After(kRemoveLimit));
}

}  // namespace pyro::engine
