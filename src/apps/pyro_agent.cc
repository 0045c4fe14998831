// PID 1 of a guest. Takes no arguments: the host sends all its settings. Under another name it
// carries out one operation on files; with arguments it is the program of agent/tree.h.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include "agent/agent.h"
#include "agent/boot.h"
#include "agent/change_log.h"
#include "agent/console.h"
#include "agent/data_disk.h"
#include "agent/device_watch.h"
#include "agent/disk_freeze.h"
#include "agent/file_program.h"
#include "agent/file_systems.h"
#include "agent/network.h"
#include "agent/power.h"
#include "agent/process_tree.h"
#include "agent/setup.h"
#include "agent/tree.h"
#include "agent/warm_up.h"
#include "base/build_id.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

// Descriptors: for the agent, three pipes of each command and of its background processes. For a
// command, the usual limit of distributions (programs that need more raise it themselves).
constexpr rlimit kAgentFiles = {65536, 524288};
constexpr rlimit kCommandFiles = {1024, 524288};

// Of a disk whose directory is opened later.
DiskFreeze::Calls FreezeOf(const sys::UniqueFd& disk) {
  return {.freeze = [&disk]() -> Status {
            if (::ioctl(disk.get(), FIFREEZE, 0) == 0) return OkStatus();
            return sys::ErrnoError(errno, "freeze", "data disk");
          },
          .thaw = [&disk]() -> Status {
            if (::ioctl(disk.get(), FITHAW, 0) == 0) return OkStatus();
            return sys::ErrnoError(errno, "thaw", "data disk");
          }};
}

// For what runs when the guest powers off to end by itself, if its image names a signal for that.
constexpr std::chrono::seconds kStopLimit{5};

// `data_disk`: its own directory, once the guest is set up.
Status Run(sys::UniqueFd& data_disk) {
  PYRO_RETURN_IF_ERROR(MountKernelFileSystems());
  ::setrlimit(RLIMIT_NOFILE, &kAgentFiles);
  PYRO_ASSIGN_OR_RETURN(DeviceWatch devices, DeviceWatch::Create());
  LoadModules();
  CgroupTrees trees(kCgroupDirectory);
  AgentOptions options;
  PYRO_ASSIGN_OR_RETURN(options.port, OpenHostPort(devices));
  options.build = BuildId();
  options.kernel = sys::KernelRelease();
  options.trees = &trees;
  options.limits = {{RLIMIT_NOFILE, kCommandFiles}};
  // Open from now on: the guest's root does not have it.
  PYRO_ASSIGN_OR_RETURN(options.file_program, sys::OpenFile("/proc/self/exe", O_RDONLY));
  PYRO_RETURN_IF_ERROR(RaiseLoopback());
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file_systems, PrepareFileSystems());
  GuestRoot root(file_systems);
  GuestClock clock;
  options.clock = &clock;
  int stop_signal = 0;
  options.setup = [&](const wire::GuestSetup& setup) -> Status {
    PYRO_RETURN_IF_ERROR(SetUpGuest(setup, devices, clock, root));
    stop_signal = static_cast<int>(setup.stop_signal);
    data_disk = sys::UniqueFd(::openat(root.data().get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return data_disk.valid() ? OkStatus() : Status(sys::ErrnoError(errno, "open", "data disk"));
  };
  options.data_disk = [&root] { return root.data().get(); };
  DataDisk disk;
  options.sync = [&data_disk, &disk, &root]() -> Status {
    RecoverChangesOfDead(root.data().get());  // Of a command that was killed.
    return disk.Sync(data_disk.get());
  };
  const auto freeze = std::make_shared<DiskFreeze>(FreezeOf(data_disk));
  std::ranges::move(FreezeAnswerers(freeze), std::back_inserter(options.answerers));
  PYRO_ASSIGN_OR_RETURN(const auto agent, Agent::Create(std::move(options)));
  const Freezing freezing = BootsToBeFrozen();
  if (const Status base = MountBase(devices); !base) {
    Error error = base.error();
    error.message = "base: " + error.message;
    agent->Fail(error);
  } else {
    MakeModuleNodes();
    if (freezing != Freezing::kNo) {
      WarmPageCache();
      if (freezing == Freezing::kWithDisk) {
        if (const Status entered = root.Enter(); !entered) agent->Fail(entered.error());
      }
      AwaitFreePageReport();
    }
  }
  Status served = agent->Serve();
  freeze->Close();  // A process that waits for the disk could not be killed.
  if (stop_signal != 0) agent->EndCommands(stop_signal, kStopLimit);
  return served;
}

}  // namespace
}  // namespace pyro::agent

int main(int argc, char** argv) {
  if (argc > 0 && std::string_view(argv[0]) == pyro::agent::kFileProgram) {
    return pyro::agent::FileProgram();
  }
  if (::getpid() != 1 && argc > 1) {
    return pyro::agent::RunTreeProgram({argv + 1, static_cast<std::size_t>(argc - 1)});
  }
  if (::getpid() != 1) {
    pyro::agent::ConsoleLine("only the kernel of a guest can start this program");
    return 125;
  }
  pyro::sys::UniqueFd data_disk;
  if (const pyro::Status status = pyro::agent::Run(data_disk); !status) {
    pyro::agent::ConsoleLine(status.error().message);
  }
  pyro::agent::PowerOff(data_disk);
}
