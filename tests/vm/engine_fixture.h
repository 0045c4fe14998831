// What the engine's tests with real guests share.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/time.h"
#include "pyro/engine.h"
#include "sys/test_directory.h"

namespace pyro {

inline constexpr char kBase[] = "debian:12-base";
inline constexpr std::chrono::seconds kHang{120};

std::filesystem::path TestCache();

// All processes below this one that live. It adopts orphans, so every process that a VM started is
// here.
std::set<pid_t> LiveDescendants();

template <typename Condition>
bool Eventually(Condition condition) {
  const Deadline deadline = Deadline::After(kHang);
  while (!condition()) {
    if (deadline.Expired()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

inline Command Script(std::string text) {
  Command command;
  command.script = std::move(text);
  return command;
}

inline VmOptions Options(std::int64_t ttl_seconds = 600) {
  VmOptions options;
  options.environment = kBase;
  options.mem_mib = 256;
  options.ttl_seconds = ttl_seconds;
  return options;
}

class EngineVmTest : public ::testing::Test {
 protected:
  void SetUp() override;
  // After any test, no process and no file may be left once its VMs are deleted.
  void TearDown() override;

  std::unique_ptr<Engine> MakeEngine() const;
  std::size_t Directories() const;
  std::filesystem::path state() const { return directory_.path() / "state"; }
  VmInfo Create(const VmOptions& options);
  VmInfo CreateStarted(const VmOptions& options);

  ErrorCode CodeOf(const auto& result) {
    return result ? ErrorCode::kInternal : result.error().code;
  }

  sys::TestDirectory directory_;
  std::unique_ptr<Engine> made_ = MakeEngine();
  Engine& engine_ = *made_;
};

}  // namespace pyro
