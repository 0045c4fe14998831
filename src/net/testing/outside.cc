#include "net/testing/outside.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "net/dns.h"
#include "sys/child_process.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::net {
namespace {

Status Run(const std::string& command) {
  sys::SpawnOptions options;
  for (const std::string_view word : Split(command, ' ')) options.argv.emplace_back(word);
  options.search_path = true;
  PYRO_ASSIGN_OR_RETURN(
      const sys::CommandOutput output,
      sys::RunCommand(std::move(options), Deadline::After(std::chrono::seconds(10))));
  if (output.status.success()) return OkStatus();
  return MakeError(ErrorCode::kUnavailable, command + ": " + output.stderr_text);
}

// On all addresses, of IPv6 too.
int Bind(int type, int port) {
  const int fd = ::socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(port));
  const int no = 0;
  (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ::_exit(3);
  return fd;
}

std::vector<Address> AddressesOf(const std::string& name) {
  static bool moved = false;
  if (name == "allowed.example" || name == "alias.example") return {Outside::kServer};
  if (name == "other.example") return {Outside::kOther};
  if (name == "lan.example") return {Outside::kNeighbour};
  if (name == "loop.example") return {0x7f000001};
  if (name == "moving.example")
    return {std::exchange(moved, true) ? Outside::kUs : Outside::kServer};
  return {};
}

void AnswerName(int udp) {
  std::uint8_t bytes[600];
  sockaddr_in6 from = {};
  socklen_t size = sizeof from;
  const ssize_t count = ::recvfrom(udp, bytes, 512, 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (count < 0) return;
  std::string answer = "answer:";
  if (const auto question = ParseDnsQuestion(Frame(bytes, static_cast<std::size_t>(count)))) {
    const auto addresses = AddressesOf(question->name);
    answer = MakeDnsAnswer(*question, addresses.empty() ? DnsCode::kNoSuchName : DnsCode::kNoError,
                           addresses, std::chrono::seconds(1));
  } else {
    answer.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  }
  ::sendto(udp, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
}

// In a process of its own. The test's has one thread, so that its heap is whole here.
[[noreturn]] void Serve(int ready) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::unshare(CLONE_NEWNET) != 0) ::_exit(2);
  const int tcp = Bind(SOCK_STREAM, Outside::kPort);
  const int echo = Bind(SOCK_STREAM, Outside::kEchoPort);
  const int udp = Bind(SOCK_DGRAM, 53);
  ::listen(tcp, 16);
  ::listen(echo, 16);
  if (::write(ready, "r", 1) != 1) ::_exit(4);
  std::vector<pollfd> entries;
  for (const int fd : {tcp, echo, udp}) entries.push_back({.fd = fd, .events = POLLIN});
  while (true) {
    ::poll(entries.data(), entries.size(), -1);
    if (entries[0].revents != 0) {
      const int client = ::accept4(tcp, nullptr, nullptr, SOCK_CLOEXEC);
      constexpr std::string_view kHello = "hello from outside\n";
      static_cast<void>(!::write(client, kHello.data(), kHello.size()));
      ::close(client);
    }
    if (entries[1].revents != 0) {
      const int client = ::accept4(echo, nullptr, nullptr, SOCK_CLOEXEC);
      entries.push_back({.fd = client, .events = POLLIN});
    }
    if (entries[2].revents != 0) AnswerName(udp);
    for (std::size_t i = entries.size(); i-- > 3;) {
      if (entries[i].revents == 0) continue;
      char bytes[4096];
      const ssize_t count = ::read(entries[i].fd, bytes, sizeof bytes);
      if (count > 0) {
        static_cast<void>(!::write(entries[i].fd, bytes, static_cast<std::size_t>(count)));
        continue;
      }
      ::close(entries[i].fd);
      entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

Status ConfigureResolver() {
  PYRO_RETURN_IF_ERROR(
      sys::WriteFileAtomically("/run/pyro-test-resolv.conf", "nameserver 198.51.100.2\n", 0644));
  std::error_code error;
  const std::string target = std::filesystem::canonical("/etc/resolv.conf", error);
  if (error ||
      ::mount("/run/pyro-test-resolv.conf", target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return MakeError(ErrorCode::kUnavailable, "/etc/resolv.conf cannot be replaced");
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Outside>> Outside::Enter() {
  if (::geteuid() != 0) {
    return MakeError(ErrorCode::kUnavailable,
                     "only root can make network namespaces for this test");
  }
  // A tmpfs on /run, so that nothing is left in the host's.
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("test", "/run", "tmpfs", 0, nullptr) != 0) {
    return sys::ErrnoError(errno, "make a network namespace");
  }
  PYRO_ASSIGN_OR_RETURN(sys::Pipe ready, sys::MakePipe());
  const pid_t server = ::fork();
  if (server == 0) Serve(ready.write.get());
  if (server < 0) return sys::ErrnoError(errno, "fork");
  auto outside = std::unique_ptr<Outside>(new Outside(server));
  ready.write.Reset();
  char byte = 0;
  if (::read(ready.read.get(), &byte, 1) != 1) {
    return MakeError(ErrorCode::kUnavailable, "the test's server does not start");
  }
  const std::string there = fmt::format("nsenter --net=/proc/{}/ns/net ", server);
  for (const std::string& command :
       {std::string("ip link set lo up"),
        fmt::format("ip link add pyro0 type veth peer name pyro1 netns {}", server),
        std::string("ip addr add 198.51.100.1/24 dev pyro0"), std::string("ip link set pyro0 up"),
        there + "ip addr add 198.51.100.2/24 dev pyro1", there + "ip link set pyro1 up",
        there + "ip link set lo up", there + "ip addr add 203.0.113.2/32 dev lo",
        there + "ip addr add 203.0.113.3/32 dev lo",
        std::string("ip route add default via 198.51.100.2")}) {
    PYRO_RETURN_IF_ERROR(Run(command));
  }
  PYRO_RETURN_IF_ERROR(ConfigureResolver());
  return outside;
}

Status Outside::AddIpv6() {
  const std::string there = fmt::format("nsenter --net=/proc/{}/ns/net ", server_);
  for (const std::string& command : {there + "ip addr add 2001:db8:64::2/64 dev pyro1 nodad",
                                     there + "ip addr add 2001:db8:cb::2/128 dev lo",
                                     std::string("ip addr add 2001:db8:64::1/64 dev pyro0 nodad"),
                                     std::string("ip -6 route add default via 2001:db8:64::2")}) {
    PYRO_RETURN_IF_ERROR(Run(command));
  }
  return OkStatus();
}

Status Outside::Cut() { return Run("ip link del pyro0"); }

Outside::~Outside() {
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
}

}  // namespace pyro::net
