#include "supervisor/main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "state/pool/spare_pool.h"
#include "supervisor/helpers.h"
#include "supervisor/spare_filler.h"
#include "supervisor/supervisor.h"
#include "supervisor/template_maker.h"
#include "supervisor/timers.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "sys/process_state.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {
namespace {

// The creator waits for one line only: then this process has no owner, and init reaps it.
Status Detach() {
  const pid_t child = ::fork();
  if (child < 0) return sys::ErrnoError(errno, "fork");
  if (child > 0) ::_exit(0);
  if (::setsid() < 0) return sys::ErrnoError(errno, "setsid");
  return OkStatus();
}

void Say(std::string_view line) { (void)sys::WriteAll(STDOUT_FILENO, line); }

// A pidfd of the process that started this one, for use before Detach(). It is not valid if that
// process is in another PID namespace. A creator that has died already goes unnoticed here. For a
// spare it is the process that its pool is kept for, if there is one.
Result<sys::UniqueFd> OpenCreator(const wire::SupervisorConfig& config) {
  if (config.spare_pool.empty()) {
    return sys::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)));
  }
  PYRO_ASSIGN_OR_RETURN(const state::SparePool pool, state::ReadSparePool(config.spare_pool));
  return state::OpenKeeper(pool);
}

// A process that outlives its creator must not hold the creator's files open, above all its
// terminal.
Status LetGoOfCreator() {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd null, sys::OpenFile("/dev/null", O_RDWR));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), fd) < 0) return sys::ErrnoError(errno, "dup2");
  }
  return OkStatus();
}

Result<std::unique_ptr<vmm::Vmm>> MakeVmm(const vmm::VmmFactory& factory,
                                          const wire::SupervisorConfig& config) {
  PYRO_ASSIGN_OR_RETURN(const vmm::Accelerator accelerator,
                        vmm::ParseAccelerator(config.accelerator));
  return factory.create(accelerator);
}

// One guest that is frozen instead of served. In the foreground it reports its progress to its
// creator, and dies with it.
Status RunForTemplate(const wire::SupervisorConfig& config, const vmm::VmmFactory& factory,
                      const Clock& clock) {
  if (config.detached) {
    PYRO_RETURN_IF_ERROR(Detach());
    PYRO_RETURN_IF_ERROR(LetGoOfCreator());
    // No process waits for it, and others work meanwhile.
    (void)::setpriority(PRIO_PROCESS, 0, 10);
  }
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm, MakeVmm(factory, config));
  PYRO_RETURN_IF_ERROR(MakeTemplates(config, *vmm, clock, [&](std::string_view phase) {
    if (!config.detached) Say(ToJsonLine({{"phase", phase}}) + "\n");
  }));
  if (!config.detached) Say(wire::FormatAnswer());
  return OkStatus();
}

Status RunForPool(const wire::SupervisorConfig& config, const Clock& clock) {
  if (config.detached) {
    PYRO_RETURN_IF_ERROR(Detach());
    PYRO_RETURN_IF_ERROR(LetGoOfCreator());
    AwaitEndOfSpare(config);
  }
  const Status filled = FillSparePool(config.directory, clock, [&](std::string_view which) {
    if (!config.detached) Say(ToJsonLine({{"phase", which}}) + "\n");
  });
  if (!filled) {
    state::ReapSpares(config.state_dir, clock.Now());
    return filled;
  }
  if (!config.detached) Say(wire::FormatAnswer());
  return OkStatus();
}

// The guest lives under the limits of the process that starts it. One that it would hit later is
// better told now, while that process is there to hear it.
Status CheckLimits(const wire::SupervisorConfig& config) {
  sys::GuestNeeds needs;
  needs.memory_mib = static_cast<std::uint64_t>(config.mem_mib);
  needs.file_bytes = needs.memory_mib << 20;
  struct stat disk {};
  if (::stat((config.directory / "data.img").c_str(), &disk) == 0) {
    needs.file_bytes = std::max(needs.file_bytes, static_cast<std::uint64_t>(disk.st_size));
  }
  return sys::CheckGuestLimits(needs);
}

Status Run(const vmm::VmmFactory& factory, const HostClock& host_clock, int haste) {
  const Clock& clock = host_clock.clock;
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadAll(STDIN_FILENO, wire::kMaxConfigBytes));
  PYRO_ASSIGN_OR_RETURN(const wire::SupervisorConfig config, wire::ParseSupervisorConfig(text));
  if (!config.secrets.empty()) sys::ForbidCore();
  if (config.kind == wire::GuestKind::kTemplate) return RunForTemplate(config, factory, clock);
  if (config.kind == wire::GuestKind::kSparePool) return RunForPool(config, clock);
  for (const int fd : {wire::kLockFd, wire::kGuestFd}) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return sys::ErrnoError(errno, "take over the lock");
  }
  const sys::FileLock lock = sys::FileLock::Adopt(sys::UniqueFd(wire::kLockFd));
  const sys::FileLock reserved = sys::FileLock::Adopt(sys::UniqueFd(wire::kGuestFd));
  PYRO_RETURN_IF_ERROR(CheckLimits(config));
  PYRO_FAILPOINT("supervisor.configured");
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd creator, OpenCreator(config));
  PYRO_RETURN_IF_ERROR(Detach());

  boost::asio::io_context loop(1);
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm, MakeVmm(factory, config));
  const std::unique_ptr<GuestRecord> record = MakeGuestRecord(config, clock);
  const bool spare = !config.spare_pool.empty();
  LoopTimers timers(loop, haste);
  OwnHelpers helpers;
  Supervisor supervisor(
      loop, config,
      {.vmm = *vmm, .record = *record, .clock = clock, .timers = timers, .helpers = helpers});
  PYRO_FAILPOINT("supervisor.detached");
  const auto listen = [&]() -> Status {
    PYRO_RETURN_IF_ERROR(supervisor.Listen());
    PYRO_FAILPOINT("supervisor.listening");
    Say(wire::FormatAnswer());
    return LetGoOfCreator();
  };
  if (spare) {
    supervisor.OnReady([&] {
      // Its pool may be over by now.
      if (!record->WaitsFor() || !listen()) supervisor.Stop(true);
    });
  } else {
    PYRO_RETURN_IF_ERROR(listen());
  }

  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) supervisor.Terminate();
  });
  supervisor.OnEnd([&] { signals.cancel(); });
  supervisor.WatchCreator(std::move(creator));
  // Without it the pulse notices, some seconds later.
  if (auto steps = host_clock.open_steps()) supervisor.WatchClock(std::move(*steps));
  supervisor.Start();
  loop.run();
  // No process reads it, unless it is that of a spare that was never ready.
  if (spare && supervisor.failure()) return *supervisor.failure();
  return OkStatus();
}

}  // namespace

int RunSupervisor(const vmm::VmmFactory& factory, const HostClock& host_clock, int haste) {
  ::signal(SIGHUP, SIG_IGN);
  ::umask(077);
  const Status status = Run(factory, host_clock, haste);
  if (status) return 0;
  Say(wire::FormatAnswer(status.error()));
  return 1;
}

}  // namespace pyro::supervisor
