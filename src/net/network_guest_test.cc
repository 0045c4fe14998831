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
#include "vmm/factory.h"
#include "vmm/testing/test_guest.h"

namespace pyro::net {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

using Kind = std::pair<NetworkBackend, vmm::Accelerator>;

class NetworkGuestTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const auto [backend, accelerator] = GetParam();
    const bool usermode = accelerator == vmm::Accelerator::kUsermode;
    auto spec = usermode ? vmm::UsermodeGuestSpec() : vmm::TestGuestSpec();
    if (!spec) PYRO_SKIP_OR_FAIL(spec.error().message);
    auto outside = Outside::Enter();
    if (!outside) PYRO_SKIP_OR_FAIL(outside.error().message);
    outside_ = std::move(*outside);
    NetworkOptions options;
    const std::filesystem::path programs = sys::Environment("PYRO_TEST_BIN");
    options.gate = programs / "pyro-net";
    options.identity = "guest";
    options.form = vmm::FrameFormOf(accelerator);
    options.only = backend;
    auto network = Network::Start(options, Soon());
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_.emplace(std::move(*network));
    spec->network = network_->TakeCard();
    auto vmm = vmm::SystemVmm(programs / "pyro-usermode-kernel").create(accelerator);
    ASSERT_TRUE(vmm.ok()) << vmm.error().message;
    auto machine = (*vmm)->Start(std::move(*spec), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    machine_ = std::move(*machine);
    channel_ = machine_->TakeGuestChannel();
    ASSERT_EQ(ReadLine(), "ready");
    ASSERT_EQ(Ask("net"), "up");
  }

  std::string ReadLine() { return vmm::ReadGuestLine(channel_.get()); }
  std::string Ask(const std::string& line) { return vmm::AskGuest(channel_.get(), line); }

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
                         testing::Values(Kind{NetworkBackend::kPasst, vmm::Accelerator::kTcg},
                                         Kind{NetworkBackend::kSlirp, vmm::Accelerator::kTcg},
                                         Kind{NetworkBackend::kPasst, vmm::Accelerator::kUsermode},
                                         Kind{NetworkBackend::kSlirp, vmm::Accelerator::kUsermode}),
                         [](const auto& kind) {
                           return std::string(NetworkBackendName(kind.param.first)) + "_" +
                                  std::string(vmm::Name(kind.param.second));
                         });

}  // namespace
}  // namespace pyro::net
