// The guest's network without a guest: the test sends the frames.

#include "net/network.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "jail/testing/processes.h"
#include "net/addresses.h"
#include "net/bytes.h"
#include "net/dns.h"
#include "net/frame_end.h"
#include "net/frames.h"
#include "net/packet.h"
#include "net/testing/frames.h"
#include "net/testing/outside.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "vmm/testing/test_guest.h"

namespace pyro::net {
namespace {

namespace fs = std::filesystem;

Deadline Soon() { return Deadline::After(std::chrono::seconds(30)); }

NetworkOptions Options(NetworkBackend backend, vmm::FrameForm form = vmm::FrameForm::kStream) {
  return {.gate = std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) / "pyro-net",
          .identity = "test",
          .form = form,
          .only = backend};
}

std::string Big(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

std::string UdpFrame(std::uint32_t source, std::uint32_t destination, int port,
                     const std::string& data) {
  return MakeUdp(kFromGuest, {source, 40000, destination, static_cast<std::uint16_t>(port)}, data);
}

std::string SynFrame(std::uint32_t source, std::uint32_t destination, int port,
                     std::uint16_t from = 41000) {
  return TcpFrame(kFromGuest,
                  {.ends = {source, from, destination, static_cast<std::uint16_t>(port)},
                   .sequence = 1,
                   .flags = kTcpSyn},
                  "");
}

using Kind = std::pair<NetworkBackend, vmm::FrameForm>;

class NetworkTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    auto outside = Outside::Enter();
    if (!outside) PYRO_SKIP_OR_FAIL(outside.error().message);
    outside_ = std::move(*outside);
    Start("");
  }

  // A network of its own, with these rules.
  void Start(std::string_view rules) {
    NetworkOptions options = Options(GetParam().first, GetParam().second);
    auto policy = Policy::Parse(rules);
    ASSERT_TRUE(policy.ok()) << policy.error().message;
    options.policy = *policy;
    auto network = Network::Start(options, Soon());
    ASSERT_TRUE(network.ok()) << network.error().message;
    network_.emplace(std::move(*network));
    card_ = network_->TakeCard().fd;
    end_.emplace(card_.get(), GetParam().second);
    reader_ = FrameReader();
  }

  // What the guest reads of the resolver's answer.
  std::vector<Address> Resolve(std::string_view name) {
    Send(AskFrame(name));
    const auto packet = Parsed(Receive(17));
    const auto answer = packet ? ParseDnsAnswer(packet->data) : std::nullopt;
    EXPECT_TRUE(answer.has_value()) << name;
    return answer ? answer->addresses : std::vector<Address>();
  }

  // The flags of the answer to a SYN; -1: there is none.
  int Knock(Ipv4 address, int port) {
    Send(SynFrame(kGuest, address, port, ++port_));
    last_ = Receive(6);
    const auto packet = Parsed(last_);
    return packet ? packet->flags & (kTcpSyn | kTcpRst | kTcpAck) : -1;
  }

  // Connects, sends bytes, and returns what comes: text, or "reset".
  std::string Say(Ipv4 address, int port, std::string_view bytes) {
    if (Knock(address, port) != (kTcpSyn | kTcpAck)) return "reset";
    const std::uint32_t theirs = Parsed(last_)->sequence + 1;
    const auto send = [&](std::string_view data) {
      Send(TcpFrame(kFromGuest,
                    {.ends = {kGuest, port_, address, static_cast<std::uint16_t>(port)},
                     .sequence = 2,
                     .acknowledged = theirs,
                     .flags = kTcpAck},
                    data));
    };
    send("");
    for (int i = 0; i < 300; ++i) {
      if (i % 10 == 0) send(bytes);  // passt drops data that come with the first ACK.
      last_ = Receive(6, Deadline::After(std::chrono::milliseconds(100)));
      const auto packet = Parsed(last_);
      if (!packet || packet->destination_port != port_) continue;
      if ((packet->flags & kTcpRst) != 0) return "reset";
      if (!packet->data.empty()) return std::string(packet->data.begin(), packet->data.end());
    }
    return "nothing";
  }

  // The refusals that the gate has told, waiting for the first.
  std::string Denied() {
    pollfd entry = {.fd = network_->denials_fd(), .events = POLLIN, .revents = 0};
    std::string all;
    if (::poll(&entry, 1, Soon().PollTimeout()) != 1) return all;
    while (true) {
      auto denial = network_->ReadDenial();
      if (!denial.ok() || !*denial) return all;
      all += std::string(Name((*denial)->reason)) + " " + Target(**denial) + "\n";
    }
  }

  // Of a packet as Receive() returns it, which lives as long as that.
  std::optional<Packet> Parsed(const std::string& packet) {
    frame_ = std::string(12, '\0') + Big(0x0800, 2) + packet;
    return ParsePacket(AsBytes(frame_));
  }

  void Send(const std::string& frame) {
    AppendFrame(end_->output(),
                Frame(reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()));
    ASSERT_TRUE(end_->Flush(state_).ok());
    ASSERT_EQ(end_->pending(), 0u);
  }

  // The next frame; empty at the deadline or the end of the stream.
  std::string NextFrame(Deadline deadline) {
    while (true) {
      auto frame = reader_.Next();
      if (!frame) return {};
      if (*frame) return std::string((*frame)->begin(), (*frame)->end());
      pollfd entry = {.fd = card_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, deadline.PollTimeout()) <= 0) return {};
      const auto bytes = end_->Read(state_);
      if (!bytes || state_ == SocketState::kClosed) return {};
      reader_.Feed(*bytes);
    }
  }

  // The next IPv4 packet of that protocol, without its Ethernet header; empty: none comes.
  std::string Receive(std::uint8_t protocol, Deadline deadline = Soon()) {
    while (true) {
      const std::string text = NextFrame(deadline);
      if (text.empty()) return {};
      if (text.size() < 34 || text[12] != 8 || text[13] != 0) continue;
      if (static_cast<std::uint8_t>(text[23]) != protocol) continue;
      // libslirp 4.8 fills short frames up to Ethernet's least length.
      return text.substr(14, Get16(AsBytes(text), 16));
    }
  }

  // The next packet of IPv6 that answers with this protocol; nullopt: none comes.
  std::optional<Packet> Answer6(const std::string& sent, std::uint8_t protocol) {
    Send(sent);
    while (true) {
      frame_ = NextFrame(Soon());
      if (frame_.empty()) return std::nullopt;
      const auto packet = ParsePacket(AsBytes(frame_));
      if (packet && !packet->source.IsV4() && packet->protocol == protocol) return packet;
    }
  }

  // Listens on every address of what is the host here.
  sys::UniqueFd ListenOnHost(int type) {
    sys::UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(9999);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd.get(), 16), 0);
    }
    return fd;
  }

  std::unique_ptr<Outside> outside_;
  std::optional<Network> network_;
  sys::UniqueFd card_;
  std::optional<FrameEnd> end_;
  SocketState state_ = SocketState::kOpen;
  FrameReader reader_;
  std::string last_;
  std::string frame_;
  std::uint16_t port_ = 42000;
};

bool Readable(int fd) {
  pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST_P(NetworkTest, TheOutsideAnswersOverTcp) {
  Send(SynFrame(kGuest, Outside::kServer, Outside::kPort));
  const std::string packet = Receive(6);
  ASSERT_GE(packet.size(), 40u);
  EXPECT_EQ(packet[33] & 0x17, 0x12) << "not SYN and ACK";
  EXPECT_EQ(packet.substr(12, 4), Big(Outside::kServer, 4));
}

TEST_P(NetworkTest, NamesGoToTheHostsResolver) {
  Send(UdpFrame(kGuest, kResolver, 53, "question"));
  const std::string packet = Receive(17);
  ASSERT_GE(packet.size(), 28u);
  EXPECT_EQ(packet.substr(28), "answer:question");
  EXPECT_EQ(packet.substr(12, 4), Big(kResolver, 4));
}

TEST_P(NetworkTest, TheHostsLoopbackIsNotReached) {
  const sys::UniqueFd tcp = ListenOnHost(SOCK_STREAM);
  const sys::UniqueFd udp = ListenOnHost(SOCK_DGRAM);
  for (const std::uint32_t source : {kGuest, 0x7f000001u}) {
    for (const std::uint32_t destination :
         {0x7f000001u, 0x7f000035u, 0u, kGateway, kResolver, kGuest, 0xffffffffu}) {
      Send(SynFrame(source, destination, 9999));
      Send(UdpFrame(source, destination, 9999, "knock"));
    }
  }
  // Frames are handled in their order: when this is answered, the others have been.
  Send(UdpFrame(kGuest, kResolver, 53, "after"));
  ASSERT_EQ(Receive(17).substr(28), "answer:after");
  EXPECT_FALSE(Readable(tcp.get()));
  EXPECT_FALSE(Readable(udp.get()));
}

std::string RequestFor(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}

TEST_P(NetworkTest, WhatIsNeverReachedIsRefusedAtOnce) {
  for (const Ipv4 address : {0x7f000001u, 0xa9fea9feu, kGateway}) {
    EXPECT_EQ(Knock(address, 80), kTcpRst | kTcpAck);
    Send(UdpFrame(kGuest, address, 80, "x"));
    const std::string icmp = Receive(1);
    ASSERT_GE(icmp.size(), 22u);
    EXPECT_EQ(icmp.substr(20, 2), Big(0x030d, 2)) << "not administratively prohibited";
  }
  EXPECT_NE(Denied().find("never 127.0.0.1:80 (tcp)\n"), std::string::npos);
}

TEST_P(NetworkTest, TheHostAndItsLanAreRefusedUnlessTheirAddressIsAllowed) {
  const sys::UniqueFd host = ListenOnHost(SOCK_STREAM);
  EXPECT_EQ(Knock(Outside::kUs, 9999), kTcpRst | kTcpAck);
  EXPECT_EQ(Knock(Outside::kNeighbour, Outside::kPort), kTcpRst | kTcpAck);
  EXPECT_EQ(Knock(Outside::kServer, Outside::kPort), kTcpSyn | kTcpAck);
  EXPECT_FALSE(Readable(host.get()));
  EXPECT_NE(Denied().find("local 198.51.100.1:9999 (tcp)\n"), std::string::npos);
  Start("allow *\nallow 198.51.100.2:8080");
  EXPECT_EQ(Knock(Outside::kNeighbour, Outside::kPort), kTcpSyn | kTcpAck);
  EXPECT_EQ(Knock(Outside::kNeighbour, Outside::kEchoPort), kTcpRst | kTcpAck);
  EXPECT_EQ(Knock(Outside::kUs, 9999), kTcpRst | kTcpAck);
}

TEST_P(NetworkTest, AnAllowedNameIsReachedAndNoOther) {
  Start("allow allowed.example:80");
  EXPECT_EQ(Knock(Outside::kServer, 80), kTcpRst | kTcpAck) << "before its name was asked";
  EXPECT_EQ(Resolve("allowed.example"), std::vector<Address>{Outside::kServer});
  const std::string request = RequestFor("allowed.example");
  EXPECT_EQ(Say(Outside::kServer, 80, request), request);
  EXPECT_EQ(Knock(Outside::kServer, Outside::kPort), kTcpRst | kTcpAck) << "another port";
  EXPECT_TRUE(Resolve("other.example").empty());
  EXPECT_EQ(Knock(Outside::kOther, 80), kTcpRst | kTcpAck);
  const std::string denied = Denied();
  EXPECT_NE(denied.find("not_allowed other.example (dns)\n"), std::string::npos) << denied;
}

TEST_P(NetworkTest, AnotherNameInTheConnectionThanWasAskedIsRefused) {
  Start("allow allowed.example\nallow alias.example");
  Resolve("allowed.example");
  EXPECT_EQ(Say(Outside::kServer, 80, RequestFor("alias.example")), "reset");
  EXPECT_EQ(Say(Outside::kServer, 80, ClientHello("evil.example")), "reset");
  Resolve("alias.example");
  EXPECT_EQ(Say(Outside::kServer, 80, RequestFor("alias.example")), RequestFor("alias.example"));
  EXPECT_EQ(Say(Outside::kServer, 80, ClientHello("allowed.example")),
            ClientHello("allowed.example"));
}

TEST_P(NetworkTest, ANameThatMovesToTheHostOrItsLanIsRefused) {
  Start("allow *.example");
  EXPECT_EQ(Resolve("moving.example"), std::vector<Address>{Outside::kServer});
  EXPECT_TRUE(Resolve("moving.example").empty());
  EXPECT_TRUE(Resolve("lan.example").empty());
  EXPECT_TRUE(Resolve("loop.example").empty());
  EXPECT_EQ(Knock(Outside::kUs, 9999), kTcpRst | kTcpAck);
  const std::string denied = Denied();
  EXPECT_NE(denied.find("local moving.example at 198.51.100.1 (dns)\n"), std::string::npos)
      << denied;
  EXPECT_NE(denied.find("never loop.example at 127.0.0.1 (dns)\n"), std::string::npos) << denied;
}

TEST_P(NetworkTest, OtherWaysOutAreRefused) {
  Start("allow allowed.example");
  Resolve("allowed.example");
  for (const int port : {443, 53}) {  // QUIC, and another resolver.
    Send(UdpFrame(kGuest, Outside::kServer, port, "x"));
    const std::string icmp = Receive(1);
    ASSERT_GE(icmp.size(), 22u);
    EXPECT_EQ(icmp.substr(20, 2), Big(0x030d, 2));
  }
  EXPECT_EQ(Knock(Outside::kServer, 53), kTcpRst | kTcpAck);
  EXPECT_EQ(Knock(kResolver, 53), kTcpRst | kTcpAck);
  Send(MakeIp(kFromGuest, 41, kGuest, Outside::kServer, std::string(40, '\x60')));
  EXPECT_EQ(Receive(1).substr(20, 2), Big(0x030d, 2)) << "IPv6 in IPv4";
}

TEST_P(NetworkTest, ANewPolicyHoldsAtOnce) {
  Start("allow allowed.example");
  EXPECT_TRUE(Resolve("other.example").empty());
  ASSERT_TRUE(network_->SetPolicy(*Policy::Parse("allow other.example")).ok());
  // The gate reads it before frames that are sent later, but not before those on their way.
  bool reached = false;
  for (int i = 0; i < 100 && !reached; ++i) reached = !Resolve("other.example").empty();
  EXPECT_TRUE(reached);
  EXPECT_TRUE(Resolve("allowed.example").empty());
}

TEST_P(NetworkTest, NonsenseOnTheWireEndsTheNetwork) {
  ASSERT_EQ(::send(card_.get(), "\xff\xff\xff\xff", 4, MSG_NOSIGNAL), 4);
  pollfd entry = {.fd = network_->exit_fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, Soon().PollTimeout()), 1);
}

TEST_P(NetworkTest, ACardOfPacketsStaysOpenWhenItsGateIsKilled) {
  ASSERT_EQ(::kill(network_->gate_pid(), SIGKILL), 0);
  pollfd entry = {.fd = network_->exit_fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&entry, 1, Soon().PollTimeout()), 1);
  char byte = 0;
  const ssize_t count = ::recv(card_.get(), &byte, 1, MSG_DONTWAIT);
  if (GetParam().second == vmm::FrameForm::kPackets) {
    EXPECT_EQ(count, -1) << "an end that its driver would read for ever";
  } else {
    EXPECT_EQ(count, 0);
  }
}

TEST_P(NetworkTest, ProcessesAreNotRootAndEndWithTheCard) {
  for (const pid_t pid : {jail::ChildOf(network_->gate_pid()), network_->passt_pid()}) {
    if (pid < 0) continue;
    auto status = sys::ReadFile(fmt::format("/proc/{}/status", pid), 65536);
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->find("\nUid:\t0\t"), std::string::npos) << *status;
    EXPECT_NE(status->find("\nCapEff:\t0000000000000000"), std::string::npos) << *status;
    EXPECT_NE(status->find("\nNoNewPrivs:\t1"), std::string::npos) << *status;
  }
  EXPECT_EQ(network_->passt_pid() >= 0, GetParam().first == NetworkBackend::kPasst);
  sys::UniqueFd passt;
  if (network_->passt_pid() >= 0) {
    passt = sys::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, network_->passt_pid(), 0)));
  }
  card_.Reset();
  for (const int fd : {network_->exit_fd(), passt.get()}) {
    if (fd < 0) continue;
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&entry, 1, Soon().PollTimeout()), 1);
  }
}

TEST_P(NetworkTest, Ipv6LeadsOutsideWhereItDoesFromTheHost) {
  EXPECT_EQ(network_->guest().address6, "");
  EXPECT_EQ(network_->ipv6_reason(), "this host has no default route of IPv6");
  ASSERT_TRUE(outside_->AddIpv6().ok());
  Start("");
  EXPECT_EQ(network_->guest().address6, kGuest6Text);
  EXPECT_EQ(network_->ipv6_reason(), "");
  const auto flags = [&](const Address& address) {
    const std::string syn = TcpFrame(
        kFromGuest,
        {.ends = {kGuest6, ++port_, address, Outside::kPort}, .sequence = 1, .flags = kTcpSyn}, "");
    const auto packet = Answer6(syn, kTcp);
    return packet ? packet->flags & (kTcpSyn | kTcpRst | kTcpAck) : -1;
  };
  EXPECT_EQ(flags(Outside::kServer6), kTcpSyn | kTcpAck);
  EXPECT_EQ(flags(Outside::kUs6), kTcpRst | kTcpAck);
  EXPECT_EQ(Denied(), "local [2001:db8:64::1]:8080 (tcp)\n");
  const auto udp =
      Answer6(MakeUdp(kFromGuest, {kGuest6, 40000, Outside::kServer6, 53}, "hello"), kUdp);
  ASSERT_TRUE(udp.has_value());
  EXPECT_EQ(std::string(udp->data.begin(), udp->data.end()), "answer:hello");
}

INSTANTIATE_TEST_SUITE_P(Backends, NetworkTest,
                         testing::Values(Kind{NetworkBackend::kPasst, vmm::FrameForm::kStream},
                                         Kind{NetworkBackend::kPasst, vmm::FrameForm::kPackets},
                                         Kind{NetworkBackend::kSlirp, vmm::FrameForm::kStream},
                                         Kind{NetworkBackend::kSlirp, vmm::FrameForm::kPackets}),
                         [](const auto& kind) {
                           return std::string(NetworkBackendName(kind.param.first)) +
                                  (kind.param.second == vmm::FrameForm::kPackets ? "_packets"
                                                                                 : "_stream");
                         });

// On the host's network as it is, and as any user: one back end or the other comes up.
TEST(NetworkStartTest, EveryUserHasAWayOut) {
  NetworkOptions options = Options(NetworkBackend::kSlirp);
  auto slirp = Network::Start(options, Soon());
  ASSERT_TRUE(slirp.ok()) << slirp.error().message;
  options.only.reset();
  auto any = Network::Start(options, Soon());
  ASSERT_TRUE(any.ok()) << any.error().message;
  EXPECT_EQ(any->backend() == NetworkBackend::kPasst, any->fallback_reason().empty());
  RecordProperty("backend", std::string(NetworkBackendName(any->backend())));
}

// Of a real passt it depends on the version whether it starts without a route to the outside.
TEST(NetworkFallbackTest, SlirpTakesOverWherePasstRefuses) {
  const sys::TestDirectory programs;
  const fs::path passt = programs.path() / "passt";
  std::ofstream(passt) << "#!/bin/sh\necho no way out >&2\nexit 1\n";
  fs::permissions(passt, fs::perms(0755));
  fs::permissions(programs.path(), fs::perms(0755));  // The program runs as another user.
  const std::string path = sys::Environment("PATH");
  ASSERT_EQ(::setenv("PATH", (programs.path().native() + ":" + path).c_str(), 1), 0);
  NetworkOptions options = Options(NetworkBackend::kPasst);
  const auto refused = Network::Start(options, Soon());
  options.only.reset();
  const auto network = Network::Start(options, Soon());
  ASSERT_EQ(::setenv("PATH", path.c_str(), 1), 0);
  EXPECT_FALSE(refused.ok());
  ASSERT_TRUE(network.ok()) << network.error().message;
  EXPECT_EQ(network->backend(), NetworkBackend::kSlirp);
  EXPECT_NE(network->fallback_reason().find("no way out"), std::string::npos)
      << network->fallback_reason();
}

TEST(NetworkFallbackTest, ItStartsWithoutARouteToTheOutside) {
  auto outside = Outside::Enter();
  if (!outside) PYRO_SKIP_OR_FAIL(outside.error().message);
  ASSERT_TRUE((*outside)->Cut().ok());
  NetworkOptions options = Options(NetworkBackend::kPasst);
  options.only.reset();
  const auto network = Network::Start(options, Soon());
  EXPECT_TRUE(network.ok()) << network.error().message;
}

TEST(NetworkDeathTest, KillingTheOwnerEndsEveryProcess) {
  auto outside = Outside::Enter();
  if (!outside) PYRO_SKIP_OR_FAIL(outside.error().message);
  auto pids = sys::MakePipe();
  ASSERT_TRUE(pids.ok());
  const pid_t owner = ::fork();
  if (owner == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // An assertion below may leave it.
    auto network = Network::Start(Options(NetworkBackend::kPasst), Soon());
    const pid_t found[] = {network ? network->gate_pid() : -1, network ? network->passt_pid() : -1};
    static_cast<void>(!::write(pids->write.get(), found, sizeof found));
    ::pause();
  }
  pid_t found[2] = {-1, -1};
  ASSERT_EQ(::read(pids->read.get(), found, sizeof found), static_cast<ssize_t>(sizeof found));
  for (pid_t pid : found) ASSERT_GT(pid, 0);
  const sys::UniqueFd first(static_cast<int>(::syscall(SYS_pidfd_open, found[0], 0)));
  const sys::UniqueFd second(static_cast<int>(::syscall(SYS_pidfd_open, found[1], 0)));
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
  for (const int fd : {first.get(), second.get()}) {
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&entry, 1, Soon().PollTimeout()), 1);
  }
}

}  // namespace
}  // namespace pyro::net
