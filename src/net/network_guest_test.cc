// A real guest on a network, through either back end.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "net/network.h"
#include "net/testing/outside.h"
#include "sys/files.h"
#include "sys/host.h"
#include "vmm/qemu/qemu_vmm.h"
#include "vmm/testing/test_guest.h"

namespace pyro::net {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class NetworkGuestTest : public testing::TestWithParam<NetworkBackend> {
 protected:
  void SetUp() override {
    auto spec = vmm::TestGuestSpec();
    if (!spec) PYRO_SKIP_OR_FAIL(spec.error().message);
    auto outside = Outside::Enter();
    if (!outside) PYRO_SKIP_OR_FAIL(outside.error().message);
    outside_ = std::move(*outside);
    NetworkOptions options;
    options.gate = std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) / "pyro-net";
    options.identity = "guest";
    options.only = GetParam();
    auto network = Network::Start(options, Soon());
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_.emplace(std::move(*network));
    spec->network = network_->TakeCard();
    auto vmm = vmm::qemu::QemuVmm::Create();
    ASSERT_TRUE(vmm.ok()) << vmm.error().message;
    auto machine = (*vmm)->Start(std::move(*spec), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    machine_ = std::move(*machine);
    channel_ = machine_->TakeGuestChannel();
    ASSERT_EQ(ReadLine(), "ready");
    ASSERT_EQ(Ask("net"), "up");
  }

  std::string ReadLine() {
    std::string line;
    const Deadline deadline = Soon();
    while (true) {
      pollfd entry = {.fd = channel_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, deadline.PollTimeout()) <= 0) return line;
      char c = 0;
      if (::read(channel_.get(), &c, 1) != 1 || c == '\n') return line;
      line.push_back(c);
    }
  }

  std::string Ask(const std::string& line) {
    EXPECT_TRUE(sys::WriteAll(channel_.get(), line + "\n").ok());
    return ReadLine();
  }

  std::unique_ptr<Outside> outside_;
  std::optional<Network> network_;
  std::unique_ptr<vmm::Machine> machine_;
  sys::UniqueFd channel_;
};

TEST_P(NetworkGuestTest, TheGuestFetchesFromTheOutsideButNotFromTheHostsLoopback) {
  const sys::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(Outside::kPort);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);

  const std::string fetch = fmt::format("fetch {} {}", Outside::kServerText, Outside::kPort);
  EXPECT_EQ(Ask(fetch), "hello from outside");
  EXPECT_EQ(Ask(fmt::format("fetch 10.0.2.2 {}", Outside::kPort)), "none");
  pollfd entry = {.fd = listener.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  EXPECT_EQ(Ask(fetch), "hello from outside");
}

INSTANTIATE_TEST_SUITE_P(Backends, NetworkGuestTest,
                         testing::Values(NetworkBackend::kPasst, NetworkBackend::kSlirp),
                         [](const auto& backend) {
                           return std::string(NetworkBackendName(backend.param));
                         });

}  // namespace
}  // namespace pyro::net
