// pyro-supervisor on the real monitors, with a clock that tests step: this host's is not theirs.
// Only in the build directory, and in directories of tests that PYRO_LIBEXEC_DIR points at.
//
// clock/ahead beside this program has how many nanoseconds its clock is ahead of the host's. A step
// is another file that is renamed to that name.

#include <sys/inotify.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/time.h"
#include "supervisor/main.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_state.h"
#include "vmm/factory.h"

namespace {

class FileClock final : public pyro::Clock {
 public:
  explicit FileClock(std::filesystem::path file) : file_(std::move(file)) {}

  pyro::WallTime Now() const override {
    const auto text = pyro::sys::ReadFile(file_, 64);
    std::int64_t ahead_ns = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), ahead_ns);
    return pyro::SystemClock().Now() + std::chrono::duration_cast<std::chrono::milliseconds>(
                                           std::chrono::nanoseconds(ahead_ns));
  }

  pyro::Result<pyro::sys::UniqueFd> OpenSteps() const {
    pyro::sys::UniqueFd steps(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    const std::filesystem::path directory = file_.parent_path();
    if (!steps.valid() || ::inotify_add_watch(steps.get(), directory.c_str(), IN_MOVED_TO) < 0) {
      return pyro::sys::ErrnoError(errno, "watch", directory.native());
    }
    return steps;
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

int main() {
  pyro::sys::PrepareProgram();
  const auto programs = pyro::sys::ProgramDirectory();
  PYRO_CHECK(programs.ok());
  const FileClock clock(*programs / "clock" / "ahead");
  return pyro::supervisor::RunSupervisor(
      pyro::vmm::SystemVmm(*programs / "pyro-usermode-kernel"),
      {.clock = clock, .open_steps = [&clock] { return clock.OpenSteps(); }});
}
