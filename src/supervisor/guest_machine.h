// The machine of a guest, with its network, its channel and its console.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/network.h"
#include "proxy/proxy.h"
#include "pyro/result.h"
#include "supervisor/console_log.h"
#include "supervisor/frame_stream.h"
#include "supervisor/timers.h"
#include "vmm/vmm.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// Belongs to the loop's thread. May be launched again, once it is closed.
class GuestMachine {
 public:
  // What the guest does, as the loop notices it.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A frame of the agent. An error is a breach of the protocol, and comes back to GuestFailed().
    virtual Status FromAgent(wire::Frame frame) = 0;
    virtual void MachineEnded() = 0;
    // The guest has closed its channel, and its machine still runs 10 seconds later.
    virtual void ChannelClosed() = 0;
    virtual void GuestFailed(const Error& error) = 0;
    // The network has refused something.
    virtual void Denied(const net::Denial& denial) = 0;
  };

  // All are borrowed.
  GuestMachine(boost::asio::io_context& loop, const wire::SupervisorConfig& config, vmm::Vmm& vmm,
               Timers& timers, Owner& owner)
      : loop_(loop),
        config_(config),
        vmm_(vmm),
        owner_(owner),
        network_rules_(config.network_rules),
        closed_(timers.NewTimer()),
        exit_(loop),
        denials_(loop),
        proxy_says_(loop) {}

  // Starts the machine: from the template, or by a boot. What a failed launch has started runs
  // until it is closed.
  Status Launch(std::optional<vmm::FrozenGuest> from);

  // For the agent. No effect while there is none.
  void Send(std::string bytes);

  // Ends the machine. The owner is told when it has ended.
  void Kill();

  // Ends machine, network and channel at once; the owner is told nothing more of them.
  void Drop();

  // The same, and stops to read the console.
  void Close();

  // Tells the owner of all that the network has refused until now.
  void TakeDenials();

  // How the machine ended, for people; after MachineEnded().
  std::string HowItEnded();

  // What there is to say of a guest that gets nowhere.
  vmm::MachineLook Look() const { return machine_ ? machine_->Look() : vmm::MachineLook(); }

  // `message`, with the last lines of the console if there are any.
  std::string WithConsole(std::string message) const;

  std::optional<wire::GuestNetwork> network() const;

  // Lines of a net::Policy, for the network from now on: that which runs, and that of a later
  // launch. kInvalidArgument: they are none. kUnavailable: the network has ended.
  Status SetNetworkRules(const std::string& rules);

  // What the guest must trust, in PEM; empty: it has no proxy.
  std::string certificate() const { return proxy_ ? proxy_->certificate() : std::string(); }

  // The size of the data disk in bytes, if the guest learns it only now; otherwise 0.
  std::int64_t new_disk_size() const { return new_disk_size_; }

  // When the machine started: microseconds of the steady clock.
  std::int64_t started_at_us() const { return started_at_us_; }

 private:
  Result<vmm::MachineSpec> OpenFiles(std::optional<vmm::FrozenGuest> from);
  Status Connect();
  void WatchExit();
  Status StartNetwork(vmm::MachineSpec& spec);
  Status StartProxy(const net::Policy& policy, const std::vector<net::ServedHost>& served);
  void WatchDenials();
  void WatchProxy();
  void TakeProxyDenials();

  boost::asio::io_context& loop_;
  const wire::SupervisorConfig& config_;
  vmm::Vmm& vmm_;
  Owner& owner_;
  std::string network_rules_;
  std::unique_ptr<Timer> closed_;
  std::optional<net::Network> network_;
  std::optional<proxy::Proxy> proxy_;
  std::unique_ptr<vmm::Machine> machine_;
  boost::asio::posix::stream_descriptor exit_;
  boost::asio::posix::stream_descriptor denials_;
  boost::asio::posix::stream_descriptor proxy_says_;
  std::shared_ptr<FrameStream> agent_;
  std::shared_ptr<ConsoleLog> console_;
  bool disk_is_the_templates_ = false;  // Not the original blank one.
  std::int64_t new_disk_size_ = 0;
  std::int64_t started_at_us_ = 0;
};

}  // namespace pyro::supervisor
