// Attempts to cross the jail by a program that QEMU's place was taken by, each next to the same
// attempt outside.

#include "jail/jail.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "jail/testing/processes.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "vmm/testing/test_guest.h"

namespace pyro::jail {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(30)); }

class JailTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto bwrap = sys::FindProgram("bwrap", ""); !bwrap)
      PYRO_SKIP_OR_FAIL(bwrap.error().message);
    // Everything here is open to every user: what keeps the victim away is the jail.
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
    ASSERT_TRUE(sys::WriteFileAtomically(directory_.path() / "secret", "secret", 0644).ok());
    victim_ = *sys::ProgramDirectory() / "jail_victim";
  }

  // Runs the victim in the jail that `adjust` has changed, and returns what it printed.
  std::string Jailed(std::vector<std::string> ways, JailNetwork network = JailNetwork::kNone,
                     std::vector<JailSpec::Alias> aliases = {},
                     std::vector<sys::UniqueFd> pass = {}) {
    auto out = sys::MakePipe();
    EXPECT_TRUE(out.ok());
    JailSpec spec;
    spec.argv = std::move(ways);
    spec.argv.insert(spec.argv.begin(), "/victim");
    auto content = sys::ReadFile(victim_, 64 << 20);
    EXPECT_TRUE(content.ok());
    spec.program = vmm::FileOf(*content);
    EXPECT_EQ(::fchmod(spec.program.get(), 0444), 0);
    spec.stdout_fd = std::move(out->write);
    spec.network = network;
    spec.aliases = std::move(aliases);
    spec.pass = std::move(pass);
    spec.identity = "jail test";
    spec.bounds = bounds_;
    auto process = JailedProcess::Spawn(std::move(spec), Soon());
    if (!process) return process.error().message;
    auto text = sys::ReadAll(out->read.get(), 65536);
    auto status = process->Wait(Soon());
    EXPECT_TRUE(status.ok() && status->success()) << process->Diagnostics();
    return text.ok() ? *text : text.error().message;
  }

  std::string Free(std::vector<std::string> ways) {
    sys::SpawnOptions options;
    options.argv = std::move(ways);
    options.argv.insert(options.argv.begin(), victim_);
    auto output = sys::RunCommand(std::move(options), Soon());
    return output ? output->stdout_text : output.error().message;
  }

  sys::TestDirectory directory_;
  std::string victim_;
  Bounds bounds_;
};

// The file that a guest's memory comes from belongs to the user that its QEMU runs as. Through a
// descriptor such a program can write to it all the same; through a read-only mount it cannot.
TEST_F(JailTest, AFileOfTheUserCannotBeChangedWhereItIsBound) {
  const std::string file = directory_.path() / "memory";
  const std::string said = AsPlainUser([&] {
    EXPECT_TRUE(sys::WriteFileAtomically(file, "frozen", 0444).ok());
    return Jailed({"overwrite", "/vm/memory"}, JailNetwork::kNone, {{file, "/vm/memory"}});
  });
  EXPECT_EQ(said, "overwrite no\n");
  EXPECT_EQ(*sys::ReadFile(file, 100), "frozen");
  const std::string outside = AsPlainUser([&] { return Free({"overwrite", file}); });
  EXPECT_EQ(outside, "overwrite yes\n");
}

TEST_F(JailTest, ADescriptorOfRootsFileCannotBeWrittenTo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whose jail is another user";
  const std::string file = directory_.path() / "memory";
  ASSERT_TRUE(sys::WriteFileAtomically(file, "frozen", 0444).ok());
  auto memory = sys::OpenFile(file, O_RDONLY);
  ASSERT_TRUE(memory.ok());
  std::vector<sys::UniqueFd> pass;
  pass.push_back(std::move(*memory));
  EXPECT_EQ(Jailed({"overwrite", "/proc/self/fd/3"}, JailNetwork::kNone, {}, std::move(pass)),
            "overwrite no\n");
  EXPECT_EQ(*sys::ReadFile(file, 100), "frozen");
}

TEST_F(JailTest, FilesOfTheUserAreNotThere) {
  const std::vector<std::string> ways = {"read",  directory_.path() / "secret",
                                         "write", directory_.path() / "new",
                                         "read",  "/etc/passwd",
                                         "read",  "/"};
  EXPECT_EQ(Free(ways), "read yes\nwrite yes\nread yes\nread yes\n");
  EXPECT_EQ(Jailed(ways), "read no\nwrite no\nread no\nread yes\n");
}

TEST_F(JailTest, ItsOwnFilesCannotBeChanged) {
  EXPECT_EQ(Jailed({"write", "/victim", "write", "/lib64/ld-linux-x86-64.so.2"}),
            "write no\nwrite no\n");
}

TEST_F(JailTest, LoopbackAndAbstractSocketsAreOutOfReach) {
  const sys::UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(tcp.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(tcp.get(), 8), 0);
  ASSERT_EQ(::getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));

  const std::string name = fmt::format("pyro-jail-test-{}", ::getpid());
  const sys::UniqueFd abstract(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un local = {};
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path + 1, name.data(), name.size());
  ASSERT_EQ(::bind(abstract.get(), reinterpret_cast<sockaddr*>(&local),
                   static_cast<socklen_t>(sizeof local.sun_family + 1 + name.size())),
            0);
  ASSERT_EQ(::listen(abstract.get(), 8), 0);

  const std::vector<std::string> ways = {"connect", port, "abstract", name};
  EXPECT_EQ(Free(ways), "connect yes\nabstract yes\n");
  EXPECT_EQ(Jailed(ways), "connect no\nabstract no\n");
  EXPECT_EQ(Jailed({"connect", port}, JailNetwork::kAllowHostNetwork), "connect yes\n");
}

TEST_F(JailTest, OtherProcessesAreOutOfReach) {
  const std::string pid = std::to_string(::getpid());
  EXPECT_EQ(Free({"signal", pid}), "signal yes\n");
  EXPECT_EQ(Jailed({"signal", pid, "ptrace", pid, "read", "/proc/" + pid + "/environ"}),
            "signal no\nptrace no\nread no\n");
}

TEST_F(JailTest, NoPrivilegeCanBeGainedNorMounted) {
  EXPECT_EQ(Jailed({"root", "", "mount", "", "device", "/tmp-device"}),
            "root no\nmount no\ndevice no\n");
}

TEST_F(JailTest, ItsProcessesAreBoundedByThemselves) {
  EXPECT_EQ(Free({"fork", "40"}), "fork yes\n");
  EXPECT_EQ(Jailed({"fork", "40"}), "fork yes\n");
  bounds_.processes = 20;
  EXPECT_EQ(Jailed({"fork", "40"}), "fork no\n");
  EXPECT_EQ(Jailed({"fork", "10"}), "fork yes\n");
  // What else the user runs does not count.
  EXPECT_EQ(AsPlainUser([&] {
              return Jailed({"fork", "10"}) + Jailed({"fork", "40"});
            }),
            "fork yes\nfork no\n");
}

TEST_F(JailTest, ItsMemoryIsBoundedAndItsEndSaysSo) {
  if (DelegatedGroup().empty()) GTEST_SKIP() << "this user has been given no control group";
  for (const bool beyond : {false, true}) {
    JailSpec spec;
    spec.argv = {victim_, "memory", beyond ? "300" : "8"};
    spec.identity = "jail test";
    spec.bounds = {.memory_bytes = 128 << 20, .processes = 20, .cpu_percent = 100};
    auto process = JailedProcess::Spawn(std::move(spec), Soon());
    ASSERT_TRUE(process.ok()) << process.error().message;
    auto status = process->Wait(Soon());
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->success(), !beyond);
    EXPECT_EQ(process->EndedForMemory(), beyond);
  }
}

TEST_F(JailTest, NothingIsInherited) {
  ::setenv("PYRO_JAIL_TEST", "1", 1);
  const int leaked = ::open("/dev/null", O_RDONLY);  // NOLINT: without close-on-exec on purpose
  ASSERT_GE(leaked, 0);
  std::vector<std::string> ways = {"environment", "PYRO_JAIL_TEST"};
  std::string expected = "environment no\n";
  for (int fd = 3; fd <= 20; ++fd) {
    ways.insert(ways.end(), {"descriptor", std::to_string(fd)});
    expected += "descriptor no\n";
  }
  EXPECT_EQ(Jailed(ways), expected);
  ::close(leaked);
}

TEST_F(JailTest, RootBecomesAUserOfItsOwn) {
  const auto credentials = JailCredentials("vm_a");
  if (::geteuid() != 0) {
    EXPECT_FALSE(credentials);
    return;
  }
  ASSERT_TRUE(credentials);
  EXPECT_GE(credentials->uid, 61184u);
  EXPECT_LT(credentials->uid, 61184u + 4336u);
  EXPECT_EQ(JailCredentials("vm_a")->uid, credentials->uid);
  EXPECT_NE(JailCredentials("vm_b")->uid, credentials->uid);
}

// bwrap lets its child outlive it until the moment that the program is run.
TEST_F(JailTest, NothingOutlivesAnOwnerKilledAtAnyMoment) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  const auto spawn = [] {
    JailSpec spec;
    spec.argv = {"/usr/bin/sleep", "1000"};
    spec.identity = "jail test";
    return JailedProcess::Spawn(std::move(spec), Soon());
  };
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(spawn().ok());
  const auto whole = std::chrono::steady_clock::now() - begin;
  constexpr int kKills = 80;
  for (int i = 0; i < kKills; ++i) {
    const pid_t owner = ::fork();
    if (owner == 0) {
      const auto process = spawn();
      ::pause();
    }
    std::this_thread::sleep_for(whole * 2 * i / kKills);
    ASSERT_EQ(::kill(owner, SIGKILL), 0);
    ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
    const Deadline deadline = Soon();
    pid_t reaped = 0;
    while (reaped >= 0 && !deadline.Expired()) {
      reaped = ::waitpid(-1, nullptr, WNOHANG);
      if (reaped == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const pid_t left = ChildOf(::getpid());
    if (left > 0) ::kill(left, SIGKILL);
    ASSERT_EQ(left, -1) << "kill " << i << " left a process";
  }
}

TEST_F(JailTest, AMissingProgramIsReported) {
  JailSpec spec;
  spec.argv = {"/no/such/program"};
  auto process = JailedProcess::Spawn(std::move(spec), Soon());
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.error().code, ErrorCode::kMissingTool) << process.error().message;
}

TEST(JailArgumentsTest, LoaderListsBecomeFiles) {
  const std::vector<std::filesystem::path> expected = {"/lib/x/libc.so.6", "/lib64/ld.so"};
  EXPECT_EQ(ParseLoaderList("\tlinux-vdso.so.1 (0x7ffc)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n"
                            "\t/lib64/ld.so (0x7f)\n\tlibgone.so => not found\n"),
            expected);
}

TEST(JailArgumentsTest, TheHostsNetworkIsSharedOnlyWhenAllowed) {
  JailSpec spec;
  spec.argv = {"/bin/true"};
  const auto words = [&] {
    return fmt::format("{}", fmt::join(JailArguments("bwrap", spec, {}, {}), " "));
  };
  EXPECT_EQ(words().find("--share-net"), std::string::npos) << words();
  spec.network = JailNetwork::kAllowHostNetwork;
  EXPECT_NE(words().find("--share-net"), std::string::npos) << words();
}

}  // namespace
}  // namespace pyro::jail
