// The price of a network policy: the time of a decision with 1,000 connections at once, and the
// frames that the gate carries with a policy against without one.
//
//   cmake --build --preset release --target egress_bench && build/bin/egress_bench

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>

#include "base/check.h"
#include "net/bytes.h"
#include "net/control.h"
#include "net/egress.h"
#include "net/frame_end.h"
#include "net/gate.h"
#include "net/testing/frames.h"
#include "sys/unique_fd.h"

namespace pyro::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr Ipv4 kServer = 0xcb007102;
constexpr int kConnections = 1000;
constexpr int kFrames = 100'000;
constexpr int kRounds = 25;
constexpr char kRules[] = "allow *.example:443\nallow 198.51.100.0/24\ndeny bad.example\n";

class CountingSink : public FrameSink {
 public:
  void ToGuest(Frame) override {}
  void ToOutside(Frame frame) override {
    last.assign(frame.begin(), frame.end());
    ++count;
  }
  void ToServed(Frame) override {}
  std::vector<std::uint8_t> last;
  int count = 0;
};

void Tell(const char* what, std::vector<nanoseconds> times) {
  std::sort(times.begin(), times.end());
  fmt::print("{:<40} median {:>7.2f} us   p99 {:>7.2f} us\n", what,
             static_cast<double>(times[times.size() / 2].count()) / 1e3,
             static_cast<double>(times[times.size() * 99 / 100].count()) / 1e3);
}

std::string Segment(int connection, std::uint32_t sequence, std::uint8_t flags,
                    std::string_view data) {
  return TcpFrame(kFromGuest,
                  {.ends = {kGuest, static_cast<std::uint16_t>(20'000 + connection), kServer, 443},
                   .sequence = sequence,
                   .acknowledged = 1,
                   .flags = flags},
                  data);
}

// Asks for a name as a guest does, and has it answered.
void Resolve(Egress& egress, CountingSink& sink, const std::string& name) {
  const std::string question = AskFrame(name);
  egress.FromGuest(AsBytes(question), Clock::now());
  const auto packet = ParsePacket(sink.last);
  PYRO_CHECK(packet.has_value());
  const auto asked = ParseDnsQuestion(packet->data);
  PYRO_CHECK(asked.has_value());
  const std::string answer =
      MakeUdp(kFromOutside, {kResolver, kDnsPort, kGuest, packet->source_port},
              MakeDnsAnswer(*asked, DnsCode::kNoError, {kServer}, std::chrono::seconds(60)));
  egress.FromOutside(AsBytes(answer), Clock::now());
}

void MeasureDecisions() {
  CountingSink sink;
  Egress egress(sink, 1);
  egress.SetPolicy(*Policy::Parse(kRules), LocalNetworks(), Clock::now());
  for (int i = 0; i < 100; ++i) Resolve(egress, sink, fmt::format("n{}.example", i));
  const auto measure = [&](const char* what, const auto& make) {
    std::vector<std::string> frames;
    for (int i = 0; i < kConnections; ++i) frames.push_back(make(i));
    std::vector<nanoseconds> times;
    for (const std::string& frame : frames) {
      const auto begin = Clock::now();
      egress.FromGuest(AsBytes(frame), begin);
      times.push_back(Clock::now() - begin);
    }
    Tell(what, std::move(times));
  };
  fmt::print("decisions, {} connections at once\n", kConnections);
  measure("a connection that may begin", [](int i) { return Segment(i, 100, kTcpSyn, ""); });
  for (int i = 0; i < kConnections; ++i) {
    const auto packet = ParsePacket(AsBytes(Segment(i, 100, kTcpSyn, "")));
    PYRO_CHECK(packet.has_value());
    egress.FromOutside(AsBytes(TcpFrame(kFromOutside,
                                        {.ends = {packet->destination, packet->destination_port,
                                                  packet->source, packet->source_port},
                                         .sequence = 0,
                                         .acknowledged = 101,
                                         .flags = kTcpSyn | kTcpAck},
                                        "")),
                       Clock::now());
  }
  sink.count = 0;
  measure("its TLS server name", [](int i) {
    return Segment(i, 101, kTcpAck, ClientHello(fmt::format("n{}.example", i % 100)));
  });
  PYRO_CHECK(sink.count == kConnections);
  measure("a connection that is refused", [](int i) {
    return TcpFrame(kFromGuest,
                    {.ends = {kGuest, static_cast<std::uint16_t>(20'000 + i), kServer + 1, 443},
                     .sequence = 100,
                     .flags = kTcpSyn},
                    "");
  });
  measure("a name that is refused", [](int i) { return AskFrame(fmt::format("n{}.other", i)); });
}

struct Pair {
  explicit Pair(int type) {
    int fds[2];
    PYRO_CHECK(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0);
    ours = sys::UniqueFd(fds[0]);
    theirs = sys::UniqueFd(fds[1]);
  }
  sys::UniqueFd ours;
  sys::UniqueFd theirs;
};

struct Carried {
  double rate = 0;  // MiB a second.
  double cpu = 0;   // Seconds of a processor for each GiB, which other processes disturb less.
};

// Frames of a full size through the gate's own loop.
Carried MeasureThroughput(const char* rules) {
  Pair guest(SOCK_STREAM);
  Pair outside(SOCK_STREAM);
  Pair control(SOCK_SEQPACKET);
  const std::string orders = FormatGateOrders({*Policy::Parse(rules), LocalNetworks(), {}});
  PYRO_CHECK(::send(control.ours.get(), orders.data(), orders.size(), 0) > 0);
  double cpu = 0;
  std::thread gate([&] {
    static_cast<void>(RunRelay({.control = control.theirs.get(),
                                .guest = guest.theirs.get(),
                                .outside = outside.theirs.get()},
                               vmm::FrameForm::kStream));
    timespec used{};
    PYRO_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    cpu = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  });
  std::string stream;
  const auto add = [&](const std::string& frame) { AppendFrame(stream, AsBytes(frame)); };
  const std::string full = TcpFrame(kFromGuest,
                                    {.ends = {kGuest, 20'000, 0xc6336407, 443},
                                     .sequence = 101,
                                     .acknowledged = 1,
                                     .flags = kTcpAck},
                                    std::string(1460, 'x'));
  add(TcpFrame(kFromGuest,
               {.ends = {kGuest, 20'000, 0xc6336407, 443}, .sequence = 100, .flags = kTcpSyn}, ""));
  const std::size_t syn = stream.size();
  add(full);  // A beginning of no protocol with a name.
  const std::size_t first = stream.size();
  for (int i = 0; i < 64; ++i) add(full);
  const std::size_t batch = stream.size() - first;
  const auto send = [](int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
      const ssize_t sent = ::send(fd, bytes, size, MSG_NOSIGNAL);
      PYRO_CHECK(sent > 0);
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    }
  };
  std::string bytes(1 << 20, '\0');
  const auto receive = [&](int fd, std::size_t wanted) {
    for (std::size_t received = 0; received < wanted;) {
      const ssize_t count = ::recv(fd, bytes.data(), bytes.size(), 0);
      PYRO_CHECK(count > 0);
      received += static_cast<std::size_t>(count);
    }
  };
  const auto acknowledge = [&](std::uint32_t number, std::uint8_t flags) {
    std::string acknowledged;
    AppendFrame(acknowledged, AsBytes(TcpFrame(kFromOutside,
                                               {.ends = {0xc6336407, 443, kGuest, 20'000},
                                                .sequence = 1,
                                                .acknowledged = number,
                                                .flags = flags},
                                               "")));
    send(outside.ours.get(), acknowledged.data(), acknowledged.size());
    receive(guest.ours.get(), acknowledged.size());
  };
  // The other side takes the beginning, as it does in any connection.
  send(guest.ours.get(), stream.data(), syn);
  receive(outside.ours.get(), syn);
  acknowledge(101, kTcpSyn | kTcpAck);
  send(guest.ours.get(), stream.data() + syn, first - syn);
  receive(outside.ours.get(), first - syn);
  acknowledge(101 + 1460, kTcpAck);
  const auto begin = Clock::now();
  std::thread sender([&] {
    for (int i = 0; i < kFrames / 64; ++i) {
      send(guest.ours.get(), stream.data() + first, batch);
    }
  });
  const std::size_t total = batch * static_cast<std::size_t>(kFrames / 64);
  receive(outside.ours.get(), total);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  sender.join();
  control.ours.Reset();
  gate.join();
  const double mib = static_cast<double>(total) / (1 << 20);
  return {.rate = mib / seconds, .cpu = cpu / mib * 1024};
}

void CompareThroughput() {
  std::vector<Carried> without;
  std::vector<Carried> with;
  for (int i = 0; i < kRounds; ++i) {
    without.push_back(MeasureThroughput(""));
    with.push_back(MeasureThroughput(kRules));
  }
  const auto median = [](std::vector<Carried>& all, double Carried::*what) {
    std::sort(all.begin(), all.end(),
              [&](const Carried& a, const Carried& b) { return a.*what < b.*what; });
    return all[all.size() / 2].*what;
  };
  const double rate = median(without, &Carried::rate);
  const double rate_with = median(with, &Carried::rate);
  const double best = without.back().rate;
  const double best_with = with.back().rate;
  const double cpu = median(without, &Carried::cpu);
  const double cpu_with = median(with, &Carried::cpu);
  fmt::print("the gate carries, of {} rounds each    without a policy   with one   ratio\n",
             kRounds);
  fmt::print("  median, MiB/s {:>38.0f} {:>10.0f} {:>7.2f}\n", rate, rate_with, rate_with / rate);
  fmt::print("  best, MiB/s {:>40.0f} {:>10.0f} {:>7.2f}\n", best, best_with, best_with / best);
  fmt::print("  s of a processor for a GiB {:>25.3f} {:>10.3f} {:>7.2f}\n", cpu, cpu_with,
             cpu / cpu_with);
}

}  // namespace
}  // namespace pyro::net

int main() {
  pyro::net::MeasureDecisions();
  pyro::net::CompareThroughput();
  return 0;
}
