#include "supervisor/main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <memory>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "supervisor/supervisor.h"
#include "supervisor/template_maker.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/file_lock.h"
#include "sys/files.h"
#include "vmm/qemu/qemu_vmm.h"

namespace pyro::supervisor {
namespace {

// The creator waits for one line and then forgets us: we belong to nobody, and init reaps us.
Status Detach() {
  const pid_t child = ::fork();
  if (child < 0) return sys::ErrnoError(errno, "fork");
  if (child > 0) ::_exit(0);
  if (::setsid() < 0) return sys::ErrnoError(errno, "setsid");
  return OkStatus();
}

void Say(const Json& line) { (void)sys::WriteAll(STDOUT_FILENO, ToJsonLine(line) + "\n"); }

// Nothing of the creator's may be held open by a process that outlives it, its terminal least of
// all.
Status LetGoOfCreator() {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd null, sys::OpenFile("/dev/null", O_RDWR));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), fd) < 0) return sys::ErrnoError(errno, "dup2");
  }
  return OkStatus();
}

// One guest that is frozen rather than served. In the foreground it tells its maker what it does,
// and dies with it.
Status RunForTemplate(const wire::SupervisorConfig& config) {
  if (config.detached) {
    PYRO_RETURN_IF_ERROR(Detach());
    PYRO_RETURN_IF_ERROR(LetGoOfCreator());
    // Nobody waits for it, and others work meanwhile.
    (void)::setpriority(PRIO_PROCESS, 0, 10);
  }
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm, vmm::qemu::QemuVmm::Create());
  PYRO_RETURN_IF_ERROR(MakeTemplate(config, *vmm, [&](std::string_view phase) {
    if (!config.detached) Say({{"phase", phase}});
  }));
  if (!config.detached) Say({{"done", true}});
  return OkStatus();
}

Status Run() {
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadAll(STDIN_FILENO, wire::kMaxConfigBytes));
  PYRO_ASSIGN_OR_RETURN(const wire::SupervisorConfig config, wire::ParseSupervisorConfig(text));
  if (config.kind == wire::GuestKind::kTemplate) return RunForTemplate(config);
  if (::fcntl(wire::kLockFd, F_SETFD, FD_CLOEXEC) != 0) {
    return sys::ErrnoError(errno, "take over the lock");
  }
  const sys::FileLock lock = sys::FileLock::Adopt(sys::UniqueFd(wire::kLockFd));
  PYRO_FAILPOINT("supervisor.configured");
  PYRO_RETURN_IF_ERROR(Detach());

  boost::asio::io_context loop(1);
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm, vmm::qemu::QemuVmm::Create());
  const std::unique_ptr<GuestRecord> record =
      config.kind == wire::GuestKind::kVm ? MakeVmRecord(config) : MakeTaskRecord(config);
  const bool remove_on_signal = config.dies_with_first_client;
  Supervisor supervisor(loop, config, *vmm, *record);
  PYRO_FAILPOINT("supervisor.detached");
  PYRO_RETURN_IF_ERROR(supervisor.Listen());
  PYRO_FAILPOINT("supervisor.listening");
  Say({{"listening", true}});
  PYRO_RETURN_IF_ERROR(LetGoOfCreator());

  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) supervisor.Stop(remove_on_signal);
  });
  supervisor.OnEnd([&] { signals.cancel(); });
  supervisor.Start();
  loop.run();
  return OkStatus();
}

}  // namespace

int RunSupervisor() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::umask(077);
  const Status status = Run();
  if (status) return 0;
  const Error& error = status.error();
  Say({{"error",
        {{"code", static_cast<int>(error.code)},
         {"message", error.message},
         {"hint", error.hint}}}});
  return 1;
}

}  // namespace pyro::supervisor
