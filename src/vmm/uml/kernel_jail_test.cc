// A guest's kernel in user mode that has been taken over: a victim in its place, in the same jail
// and behind the same filter, tries every way out, each next to the same attempt outside.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "jail/testing/processes.h"
#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "vmm/testing/test_guest.h"
#include "vmm/uml/uml_vmm.h"

namespace pyro::vmm::uml {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

using Results = std::map<std::string, std::string, std::less<>>;

Results ParseResults(std::string_view text) {
  Results results;
  for (const std::string_view line : Split(text, '\n')) {
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      results.emplace(line.substr(0, space), line.substr(space + 1));
    }
  }
  return results;
}

// Calls that get an answer instead of death: the kernel may make them, and the jail has nothing for
// them; or it, or its C library, takes a refusal for an answer.
constexpr const char* kRefused[] = {
    "read-secret", "read-passwd", "write-shared", "write-core-pattern",
    "write-sysrq", "open-kmsg",   "mkdir",        "signal-outsider",
    "unlink",      "list",        "clone3"};

class KernelJailTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto bwrap = sys::FindProgram("bwrap", ""); !bwrap) {
      PYRO_SKIP_OR_FAIL(bwrap.error().message);
    }
    victim_ = *sys::ProgramDirectory() / "vmm_kernel_victim";
    // Open to every user: what keeps the victim away is the jail.
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
    for (const char* name : {"secret", "base", "initrd", "data"}) {
      ASSERT_TRUE(sys::WriteFileAtomically(directory_.path() / name, name, 0644).ok());
    }
  }

  std::vector<std::string> Words() const {
    return {"secret=" + (directory_.path() / "secret").native(),
            fmt::format("outsider={}", ::getpid())};
  }

  // The victim's words, or why there are none.
  std::string InPlaceOfTheKernel() const {
    MachineSpec spec;
    spec.memory_mib = 128;
    spec.identity = "victim";
    spec.kernel_arguments = Words();
    auto kernel = sys::OpenFile(victim_, O_RDONLY);
    auto initrd = sys::OpenFile(directory_.path() / "initrd", O_RDONLY);
    auto base = sys::OpenFile(directory_.path() / "base", O_RDONLY);
    auto data = sys::OpenFile(directory_.path() / "data", O_RDWR);
    if (!kernel || !initrd || !base || !data) return "a file is missing";
    spec.kernel = std::move(*kernel);
    spec.initrd = std::move(*initrd);
    spec.base_disk = std::move(*base);
    spec.data_disk = std::move(*data);
    auto vmm = UmlVmm::Create(victim_);
    if (!vmm) return vmm.error().message;
    auto machine = (*vmm)->Start(std::move(spec), Soon());
    if (!machine) return machine.error().message;
    const sys::UniqueFd console = (*machine)->TakeConsole();
    auto exit = (*machine)->Wait(Soon());
    if (!exit) return exit.error().message;
    auto text = sys::ReadAll(console.get(), 65536);
    return (text ? *text : text.error().message) + exit->diagnostics;
  }

  std::string Outside() const {
    sys::SpawnOptions options;
    options.argv = Words();
    options.argv.insert(options.argv.begin(), victim_);
    return jail::AsPlainUser([&]() -> std::string {
      auto output = sys::RunCommand(std::move(options), Soon());
      return output ? output->stdout_text : output.error().message;
    });
  }

  sys::TestDirectory directory_;
  std::string victim_;
};

void ExpectNoWayOut(const std::string& said, const Results& outside) {
  const Results results = ParseResults(said);
  ASSERT_EQ(results.size(), outside.size()) << said;
  for (const auto& [way, result] : results) {
    const bool refused = std::count(std::begin(kRefused), std::end(kRefused), way) != 0;
    EXPECT_EQ(result, refused ? "refused" : "killed") << way;
  }
}

TEST_F(KernelJailTest, EveryWayOutIsClosed) {
  const Results outside = ParseResults(Outside());
  ASSERT_GT(outside.size(), 80u);
  for (const auto& [way, result] : outside) {
    EXPECT_TRUE(result == "done" || result == "refused") << way << " " << result;
  }
  EXPECT_EQ(outside.at("read-secret"), "done");
  EXPECT_EQ(outside.at("socket-inet"), "done");
  EXPECT_EQ(outside.at("memfd"), "done");
  ExpectNoWayOut(InPlaceOfTheKernel(), outside);
}

// The files belong to the user that the jail runs as: a descriptor's path would open them again for
// writing.
TEST_F(KernelJailTest, EveryWayOutIsClosedForAPlainUsersJail) {
  if (::geteuid() != 0) GTEST_SKIP() << "the other test is it";
  for (const char* name : {"base", "initrd", "data"}) {
    ASSERT_EQ(::chown((directory_.path() / name).c_str(), jail::kPlainUser, jail::kPlainUser), 0);
  }
  const Results outside = ParseResults(Outside());
  ExpectNoWayOut(jail::AsPlainUser([&] { return InPlaceOfTheKernel(); }), outside);
}

TEST(UsermodeKernelTest, AMissingKernelIsReported) {
  auto missing = UmlVmm::Create("/no/such/kernel");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kMissingTool);
}

}  // namespace
}  // namespace pyro::vmm::uml
