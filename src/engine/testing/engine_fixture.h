// An engine whose guests are processes of this host, with a clock and a package builder of the
// test's own. What it starts is pyro-supervisor-fake.

#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/time.h"
#include "engine/context.h"
#include "pyro/engine.h"
#include "sys/test_directory.h"

namespace pyro::engine {

// This host's clock, and what a test adds to it.
class ShiftedClock final : public Clock {
 public:
  WallTime Now() const override { return SystemClock().Now() + shift_.load(); }
  void Advance(std::chrono::milliseconds step) { shift_ = shift_.load() + step; }

 private:
  std::atomic<std::chrono::milliseconds> shift_{std::chrono::milliseconds(0)};
};

// What a test may change of the world, from one call to the next.
struct FakeWorld {
  ShiftedClock clock;
  std::string base = "base 1";    // Another content makes another version of an environment.
  std::string kernel = "kernel";  // "panic!" and "silent" do what they say; of six letters.
  Status build = OkStatus();      // What building an environment comes to.
  // Called in the middle of a build with the descriptor that stops it, unless it is empty.
  std::function<Status(int cancel_fd)> building;
  Status monitor = OkStatus();  // What finding the monitor comes to.
  // The same for that of user mode.
  Status usermode = MakeError(ErrorCode::kMissingTool, "no kernel", "make one");
  std::vector<std::string> missing_tools;
  image::ImageConfig image = {.architecture = "amd64", .os = "linux"};  // Of each that is pulled.
};

// A context on `world`, which outlives it. The file `kvm` beside the state directory stands for
// /dev/kvm.
Context FakeContext(Engine::Directories directories, const FakeWorld& world);

// Directories of their own, and PYRO_LIBEXEC_DIR at the fake programs. Guests boot, unless a test
// calls StartWarm(). What is left running at the end is ended.
class EngineFixture : public ::testing::Test {
 protected:
  EngineFixture();
  ~EngineFixture() override;

  // From here on guests start from templates.
  static void StartWarm();

  Engine::Directories Directories() const {
    return {.state = state_, .cache = cache_, .configuration = configuration_};
  }

  static Command Shell(std::string script);
  static VmOptions Vm();
  static TaskOptions Task();

  // Of a guest: its supervisor; 0: no process answers.
  pid_t SupervisorOf(const std::string& id) const;
  // SIGKILL to a guest's supervisor, or to its guest; returns when the supervisor is gone.
  void KillSupervisor(const std::string& id) const;
  void KillGuest(const std::string& id) const;
  // SIGKILL to the process that listens there; returns when it is gone.
  static void KillAt(const std::filesystem::path& socket);

  // The directory of a VM or a task.
  std::filesystem::path DirectoryOf(const std::string& id) const;

  // Puts another kernel into the environment that is installed.
  void ReplaceKernel(std::string_view six_letters) const;

  sys::TestDirectory directory_;
  std::filesystem::path state_ = directory_.path() / "state";
  std::filesystem::path cache_ = directory_.path() / "cache";
  std::filesystem::path configuration_ = directory_.path() / "configuration" / "config";
  FakeWorld world_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace pyro::engine
