#include "agent/power.h"

#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/time.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

void KillEverything() {
  const Deadline deadline = Deadline::After(std::chrono::seconds(5));
  ::kill(-1, SIGKILL);
  while (!deadline.Expired()) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid < 0 && errno == ECHILD) return;
    if (pid == 0) ::usleep(1000);  // Nothing else can happen in this guest any more.
  }
}

// The overlay first, so that nothing writes to the data disk below it; then the disk, which the
// workspace is a bind mount of, if the image has none of its own. A disk that refuses, because a
// process could not be killed, is frozen: that leaves its journal as clean.
void SealDisks(const sys::UniqueFd& data_disk) {
  ::sync();
  (void)::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
  if (::mount(nullptr, "/workspace", nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0) return;
  if (data_disk.valid()) ::ioctl(data_disk.get(), FIFREEZE, 0);
}

}  // namespace

void PowerOff(const sys::UniqueFd& data_disk) {
  KillEverything();
  SealDisks(data_disk);
  ::reboot(RB_POWER_OFF);
  ::reboot(RB_AUTOBOOT);  // A machine that cannot switch itself off; the host ends it here too.
  while (true) ::pause();
}

}  // namespace pyro::agent
