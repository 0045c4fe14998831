#include "engine_fixture.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <system_error>

#include "sys/files.h"
#include "sys/host.h"

namespace pyro {
namespace fs = std::filesystem;
namespace {

fs::path TestBin() {
  const std::string named = sys::Environment("PYRO_TEST_BIN");
  return named.empty() ? sys::ProgramDirectory().value().parent_path() / "bin" : fs::path(named);
}

// "name state parent" of /proc/PID/stat, with the name's brackets taken away.
bool ReadStat(const std::string& pid, char& state, pid_t& parent) {
  const auto text = sys::ReadFile("/proc/" + pid + "/stat", 4096);
  if (!text) return false;
  const std::size_t end = text->rfind(')');
  if (end == std::string::npos) return false;
  int number = 0;
  if (std::sscanf(text->c_str() + end + 1, " %c %d", &state, &number) != 2) return false;
  parent = number;
  return true;
}

}  // namespace

fs::path TestCache() {
  const std::string named = sys::Environment("PYRO_TEST_CACHE");
  return named.empty() ? sys::ProgramDirectory().value().parent_path() / "test-cache"
                       : fs::path(named);
}

std::set<pid_t> LiveDescendants() {
  std::map<pid_t, std::pair<pid_t, char>> all;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    char state = 0;
    pid_t parent = 0;
    if (name.find_first_not_of("0123456789") == std::string::npos &&
        ReadStat(name, state, parent)) {
      all[static_cast<pid_t>(std::stol(name))] = {parent, state};
    }
  }
  std::set<pid_t> below = {::getpid()};
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [pid, info] : all) {
      if (below.contains(info.first)) grown = below.insert(pid).second || grown;
    }
  }
  std::set<pid_t> live;
  for (const pid_t pid : below) {
    if (pid != ::getpid() && all[pid].second != 'Z' && all[pid].second != 'X') live.insert(pid);
  }
  return live;
}

std::unique_ptr<Engine> EngineVmTest::MakeEngine() const {
  ::setenv("PYRO_LIBEXEC_DIR", TestBin().c_str(),
           1);  // First: the engine looks for a kernel there.
  return MakeLocalEngine({state(), TestCache()});
}

void EngineVmTest::SetUp() {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const auto pulled = engine_.PullEnvironment({{kBase}});
  ASSERT_TRUE(pulled) << pulled.error().message << "; " << pulled.error().hint;
}

void EngineVmTest::TearDown() {
  const auto vms = engine_.ListVms();
  ASSERT_TRUE(vms);
  for (const VmInfo& vm : *vms) {
    const auto deleted = engine_.DeleteVm(vm.vm_id);
    EXPECT_TRUE(deleted) << deleted.error().message;
  }
  EXPECT_TRUE(Eventually([] { return LiveDescendants().empty(); })) << "processes are left";
  EXPECT_EQ(Directories(), 0u) << "directories are left";
}

std::size_t EngineVmTest::Directories() const {
  std::error_code error;
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(state() / "vms", error)) {
    ++count;
  }
  return count;
}

VmInfo EngineVmTest::Create(const VmOptions& options) {
  const auto vm = engine_.CreateVm(options);
  EXPECT_TRUE(vm) << vm.error().message << "; " << vm.error().hint;
  return vm ? *vm : VmInfo{};
}

VmInfo EngineVmTest::CreateStarted(const VmOptions& options) {
  const auto vm = engine_.StartVm(Create(options).vm_id);
  EXPECT_TRUE(vm) << vm.error().message << "; " << vm.error().hint;
  return vm ? *vm : VmInfo{};
}

}  // namespace pyro
