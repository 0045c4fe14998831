// The escape table: each process behind pyro's walls is taken over as it runs, and goes every way
// of ways.cc. Each way is also gone outside, where it must be open.

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "jail/testing/processes.h"
#include "net/network.h"
#include "proxy/proxy.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "takeover.h"
#include "vmm/qemu/qemu_vmm.h"
#include "vmm/testing/test_guest.h"
#include "ways.h"

namespace pyro::escapes {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

std::filesystem::path Program(const char* name) {
  return std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) / name;
}

// A process to take over, with all that it needs to live.
class Target {
 public:
  virtual ~Target() = default;
  virtual pid_t pid() const = 0;
};

// Starts one; the message of an error is the reason to print.
using Starter = std::function<Result<std::unique_ptr<Target>>()>;

class NetworkTarget final : public Target {
 public:
  NetworkTarget(net::Network network, bool passt) : network_(std::move(network)), passt_(passt) {}
  pid_t pid() const override {
    return passt_ ? network_.passt_pid() : jail::ChildOf(network_.gate_pid());
  }

 private:
  net::Network network_;
  bool passt_;
};

Result<std::unique_ptr<Target>> StartNetwork(net::NetworkBackend backend, bool passt) {
  auto network = net::Network::Start(
      {.gate = Program("pyro-net"), .identity = "escape", .policy = {}, .only = backend}, Soon());
  if (!network) return network.error();
  return std::unique_ptr<Target>(std::make_unique<NetworkTarget>(std::move(*network), passt));
}

class ProxyTarget final : public Target {
 public:
  explicit ProxyTarget(proxy::Proxy proxy) : proxy_(std::move(proxy)) {}
  pid_t pid() const override { return jail::ChildOf(proxy_.pid()); }

 private:
  proxy::Proxy proxy_;
};

// With a directory for downloads, if that is not empty.
Result<std::unique_ptr<Target>> StartProxy(const std::string& downloads) {
  proxy::ProxyOptions options{.program = Program("pyro-proxy"), .identity = "escape"};
  if (!downloads.empty()) {
    options.config.downloads.routes = "@apt apt http://mirror.example/debian/\n";
    options.config.downloads.max_bytes = 1 << 20;
    if (const auto user = jail::JailCredentials(options.identity)) {
      if (::chown(downloads.c_str(), user->uid, user->gid) != 0) {
        return MakeError(ErrorCode::kPermissionDenied, "chown");
      }
    }
    auto directory = sys::OpenFile(downloads, O_RDONLY | O_DIRECTORY);
    if (!directory) return directory.error();
    options.downloads = std::move(*directory);
  }
  auto proxy = proxy::Proxy::Start(std::move(options), Soon());
  if (!proxy) return proxy.error();
  return std::unique_ptr<Target>(std::make_unique<ProxyTarget>(std::move(*proxy)));
}

class QemuTarget final : public Target {
 public:
  explicit QemuTarget(std::unique_ptr<vmm::Machine> machine) : machine_(std::move(machine)) {}
  pid_t pid() const override { return jail::ChildOf(machine_->jail_process_id()); }

 private:
  std::unique_ptr<vmm::Machine> machine_;
};

Result<std::unique_ptr<Target>> StartQemu() {
  auto vmm = vmm::qemu::QemuVmm::Create();
  if (!vmm) return vmm.error();
  auto spec = vmm::TestGuestSpec();
  if (!spec) return spec.error();
  auto machine = (*vmm)->Start(std::move(*spec), Soon());
  if (!machine) return machine.error();
  return std::unique_ptr<Target>(std::make_unique<QemuTarget>(std::move(*machine)));
}

// A process with nothing around it, of this user or as root of namespaces of its own.
class Free final : public Target {
 public:
  explicit Free(bool namespaces) {
    int ready[2];
    if (::pipe(ready) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      // Of a process that has changed its user, /proc belongs to root.
      ::prctl(PR_SET_DUMPABLE, 1);
      if (namespaces && !EnterNamespaces()) ::_exit(1);
      ::prctl(PR_SET_DUMPABLE, 1);
      if (::write(ready[1], "", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ready[1]);
    char byte;
    if (::read(ready[0], &byte, 1) != 1) pid_ = -1;
    ::close(ready[0]);
  }
  ~Free() override {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const override { return pid_; }

 private:
  static bool Write(const char* path, const std::string& text) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  static bool EnterNamespaces() {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    const int own = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET;
    if (user == 0) {
      return ::unshare(own) == 0 &&
             ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }
    return ::unshare(CLONE_NEWUSER | own) == 0 && Write("/proc/self/setgroups", "deny") &&
           Write("/proc/self/uid_map", fmt::format("0 {} 1", user)) &&
           Write("/proc/self/gid_map", fmt::format("0 {} 1", group));
  }

  pid_t pid_ = -1;
};

// What the ways lead to, made by the user who goes them.
class Outside {
 public:
  Outside() {
    ::chmod(directory_.path().c_str(), 0777);
    around_.directory = directory_.path();
    around_.secret = directory_.path() / "secret";
    around_.task_file = directory_.path() / "journal";
    for (const std::string& file : {around_.secret, around_.task_file}) {
      EXPECT_TRUE(sys::WriteFileAtomically(file, "secret", 0666).ok());
    }
    around_.socket = directory_.path() / "socket";
    Listen(path_, around_.socket);
    ::chmod(around_.socket.c_str(), 0777);
    around_.abstract = fmt::format("pyro-escape-{}", ::getpid());
    Listen(abstract_, '\0' + around_.abstract);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(port_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(port_.get(), 64), 0);
    EXPECT_EQ(::getsockname(port_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    around_.port = ntohs(address.sin_port);
    around_.bystander = bystander_.pid();
  }

  const Surroundings& around() const { return around_; }
  void Tidy() const {
    for (const char* name : {"new", "made", "link", "device"}) {
      std::filesystem::remove(directory_.path() / name);
    }
  }

 private:
  static void Listen(const sys::UniqueFd& fd, const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd.get(), 64), 0);
  }

  sys::TestDirectory directory_;
  sys::UniqueFd path_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sys::UniqueFd abstract_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sys::UniqueFd port_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Free bystander_{false};
  Surroundings around_;
};

bool IsOpenOutside(const Way& way, const Outside& outside) {
  const Free free(way.needs != Needs::kNothing && !(way.needs == Needs::kRoot && ::geteuid() == 0));
  auto process = Takeover::Of(free.pid());
  if (!process) return false;
  const bool open = way.go(*process, outside.around());
  outside.Tidy();
  return open;
}

// Those that are not open outside, one a line; a way that this host closes for all is left out.
std::string ClosedOutside() {
  const Outside outside;
  std::string text;
  for (const Way& way : Ways()) {
    if (way.needs == Needs::kRoot && ::geteuid() != 0) continue;
    if (!IsOpenOutside(way, outside) && !way.kernels_differ) {
      text += fmt::format("{} is not open outside\n", way.name);
    }
  }
  return text;
}

struct Walls {
  std::vector<std::string> open;  // Ways that stay open: docs/THREATS.md names them.
  int least_killed = 0;           // So many ways at least end the process.
};

// What is wrong, one line each; empty: nothing.
std::string WaysOutOf(const Starter& start, const Walls& walls) {
  const Outside outside;
  std::string wrong;
  std::unique_ptr<Target> target;
  std::optional<Takeover> process;
  int killed = 0;
  for (const Way& way : Ways()) {
    if (!process || process->ended()) {
      process.reset();
      auto started = start();
      if (!started) return started.error().message + "\n";
      target = std::move(*started);
      auto taken = Takeover::Of(target->pid());
      if (!taken) return taken.error().message + "\n";
      process.emplace(std::move(*taken));
    }
    process->Clear();
    const bool open = way.go(*process, outside.around());
    const bool expected =
        std::find(walls.open.begin(), walls.open.end(), way.name) != walls.open.end();
    if (open != expected) {
      wrong += fmt::format("{} is {}\n", way.name, open ? "open" : "closed, and named as open");
    }
    if (!process->ended()) continue;
    ++killed;
    if (process->end_signal() != SIGSYS) {
      wrong += fmt::format("{} ended it by signal {}\n", way.name, process->end_signal());
    }
  }
  if (killed < walls.least_killed) wrong += fmt::format("only {} ways ended it\n", killed);
  return wrong;
}

class EscapeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto bwrap = sys::FindProgram("bwrap", ""); !bwrap) {
      PYRO_SKIP_OR_FAIL(bwrap.error().message);
    }
  }

  // For this user, and if that is root then for another one as well.
  static void Expect(const Starter& start, const Walls& walls) {
    EXPECT_EQ(WaysOutOf(start, walls), "");
    if (::geteuid() != 0) return;
    EXPECT_EQ(jail::AsPlainUser([&] { return WaysOutOf(start, walls); }), "") << "as a plain user";
  }
};

TEST_F(EscapeTest, EachWayIsOpenOutside) {
  ASSERT_GE(Ways().size(), 50u);
  EXPECT_EQ(ClosedOutside(), "");
  if (::geteuid() == 0) {
    EXPECT_EQ(jail::AsPlainUser(ClosedOutside), "");
  }
}

TEST_F(EscapeTest, NoWayLeadsOutOfTheGateBeforePasst) {
  Expect([] { return StartNetwork(net::NetworkBackend::kPasst, false); },
         {.open = {}, .least_killed = 40});
}

TEST_F(EscapeTest, NoWayLeadsOutOfTheGateWithLibslirp) {
  Expect([] { return StartNetwork(net::NetworkBackend::kSlirp, false); },
         {.open = {"connect-to-the-loopback"}, .least_killed = 30});
}

TEST_F(EscapeTest, NoWayLeadsOutOfPasst) {
  if (::geteuid() != 0) GTEST_SKIP() << "passt lets no process of its user trace it";
  EXPECT_EQ(WaysOutOf([] { return StartNetwork(net::NetworkBackend::kPasst, true); },
                      {.open = {"connect-to-the-loopback", "netlink-socket"}, .least_killed = 30}),
            "");
}

TEST_F(EscapeTest, NoWayLeadsOutOfTheProxy) {
  Expect([] { return StartProxy(""); }, {.open = {"connect-to-the-loopback"}, .least_killed = 30});
}

TEST_F(EscapeTest, NoWayLeadsOutOfTheProxyWithTheCacheOfDownloads) {
  const sys::TestDirectory cache;
  EXPECT_EQ(WaysOutOf([&] { return StartProxy(cache.path()); },
                      {.open = {"connect-to-the-loopback"}, .least_killed = 25}),
            "");
}

// The one who watches it is told, at once.
TEST_F(EscapeTest, AForbiddenCallIsToldAsTheReason) {
  auto network = net::Network::Start({.gate = Program("pyro-net"),
                                      .identity = "escape",
                                      .policy = {},
                                      .only = net::NetworkBackend::kPasst},
                                     Soon());
  ASSERT_TRUE(network.ok()) << network.error().message;
  EXPECT_EQ(jail::ProcStatus(jail::ChildOf(network->gate_pid()), "Seccomp"), "2");
  {
    auto process = Takeover::Of(jail::ChildOf(network->gate_pid()));
    ASSERT_TRUE(process.ok()) << process.error().message;
    process->Call(SYS_unshare, CLONE_NEWUSER);
    EXPECT_EQ(process->end_signal(), SIGSYS);
  }
  pollfd entry = {.fd = network->denials_fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&entry, 1, Soon().PollTimeout()), 1);
  EXPECT_FALSE(network->ReadDenial().ok());
  EXPECT_EQ(network->HowItEnded(), net::Reason::kForbiddenCall);
}

TEST_F(EscapeTest, NoWayLeadsOutOfQemu) {
  EXPECT_EQ(WaysOutOf(StartQemu, {.open = {"make-code"}, .least_killed = 30}), "");
}

}  // namespace
}  // namespace pyro::escapes
