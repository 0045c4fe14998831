#include "sys/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "base/text.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::sys::internal {
namespace {

struct Settings {
  std::string victim;  // Empty: none.
  std::int64_t pass = 1;
  int signal = SIGKILL;
  std::string log;  // Empty: none.
};

Settings ReadSettings() {
  Settings settings;
  settings.victim = Environment("PYRO_FAILPOINT");
  if (Environment("PYRO_FAILPOINT_SIGNAL") == "STOP") settings.signal = SIGSTOP;
  settings.log = Environment("PYRO_FAILPOINT_LOG");
  const std::size_t colon = settings.victim.rfind(':');
  if (colon != std::string::npos) {
    settings.pass = ParseInt(settings.victim.substr(colon + 1)).value_or(1);
    settings.victim.resize(colon);
  }
  return settings;
}

const Settings& TheSettings() {
  static const Settings settings = ReadSettings();
  return settings;
}

}  // namespace

bool FailpointsAreOn() {
  static const bool on = !TheSettings().victim.empty() || !TheSettings().log.empty();
  return on;
}

void ReachFailpoint(const char* name) {
  static std::atomic<std::int64_t> passes = 0;
  const Settings& settings = TheSettings();
  if (!settings.log.empty()) {
    // One write, so that lines of several processes do not mix.
    if (const auto file = OpenFile(settings.log, O_WRONLY | O_CREAT | O_APPEND)) {
      (void)WriteAll(file->get(), std::string(name) + "\n");
    }
  }
  if (settings.victim == name && ++passes == settings.pass) ::kill(::getpid(), settings.signal);
}

}  // namespace pyro::sys::internal
