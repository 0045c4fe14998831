// A guest's network without root: outbound NAT in processes of their own, names through the host's
// resolver, and no way in. The guest reaches what its policy allows (policy.h).
//
// The machine talks to pyro-net, which refuses frames that the guest may not send. Behind it is
// passt or, if passt does not start, libslirp within pyro-net itself. IPv4, and IPv6 where it leads
// outside from this host (host_networks.h).

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "jail/jail.h"
#include "net/control.h"
#include "net/denials.h"
#include "net/host_networks.h"
#include "net/policy.h"
#include "pyro/result.h"
#include "sys/child_process.h"
#include "vmm/vmm.h"

namespace pyro::net {

enum class NetworkBackend { kPasst, kSlirp };

// "passt" or "slirp".
std::string_view NetworkBackendName(NetworkBackend backend);

// The settings of the guest's only network card; there is no DHCP.
struct GuestNetwork {
  std::string mac;
  std::string address;  // IPv4, dotted.
  int prefix = 0;
  std::string gateway;
  std::string resolver;
  int mtu = 0;
  // Of IPv6; both are empty where the guest has none.
  std::string address6;
  std::string gateway6;
};

struct NetworkOptions {
  std::filesystem::path gate;  // The pyro-net program.
  // Selects the unprivileged user if the caller is root, and the MAC. The VM's id.
  std::string identity;
  vmm::FrameForm form = vmm::FrameForm::kStream;  // Of the card's socket.
  Policy policy;
  std::optional<NetworkBackend> only;  // Do not fall back to another.
  // Connections to these go to the proxy, over this socket of packets: see net/control.h. Borrowed;
  // -1: there is no proxy.
  std::vector<ServedHost> served;
  int proxy = -1;
  // Nothing else is reached: no process of the network can connect.
  bool isolated = false;
};

// Running processes; destroying it ends them. They also end with the machine, and when the starting
// thread dies. Not thread-safe.
class Network {
 public:
  // Returns once the guest's gateway has answered. The jail of its processes shares the host's
  // network. kMissingTool: no bwrap, no pyro-net. kUnavailable: no back end answers; the message
  // has the words of each.
  static Result<Network> Start(const NetworkOptions& options, Deadline deadline);

  Network(Network&&) noexcept = default;
  Network& operator=(Network&&) = delete;

  // For MachineSpec::network. Its socket is not valid after the first call.
  vmm::NetworkCard TakeCard() { return {.fd = std::move(card_), .mac = guest_.mac}; }

  const GuestNetwork& guest() const { return guest_; }
  NetworkBackend backend() const { return backend_; }
  // Why the guest has no IPv6, for people; empty if it has.
  const std::string& ipv6_reason() const { return ipv6_reason_; }
  // The reason if passt was not used; otherwise empty.
  const std::string& fallback_reason() const { return fallback_reason_; }

  // From now on this policy holds, with the host's networks of now. Connections that it does not
  // allow end. kUnavailable: the gate has ended.
  Status SetPolicy(const Policy& policy);

  // Readable if there may be a refusal to read, or the gate has ended. Borrowed.
  int denials_fd() const { return control_.get(); }
  // A refusal that has not been read; nullopt: there is none now. Never waits. kProtocol: what came
  // is none. kUnavailable: the gate has ended.
  Result<std::optional<Denial>> ReadDenial();

  // Why the network ended, for one that has: kNetworkEnded, kForbiddenCall, or kNone if the machine
  // ended it. Waits for a second at most.
  Reason HowItEnded();

  // Readable once the guest has lost its network. Borrowed.
  int exit_fd() const { return gate_.exit_fd(); }
  // As the host sees them; the gate's is that of its jail. -1: there is none.
  pid_t gate_pid() const { return gate_.jail_pid(); }
  pid_t passt_pid() const { return passt_ ? passt_->pid() : -1; }

 private:
  Network(GuestNetwork guest, NetworkBackend backend, sys::UniqueFd card, sys::UniqueFd control,
          jail::JailedProcess gate, std::optional<sys::ChildProcess> passt)
      : guest_(std::move(guest)),
        backend_(backend),
        card_(std::move(card)),
        control_(std::move(control)),
        gate_(std::move(gate)),
        passt_(std::move(passt)) {}

  static Result<Network> StartAny(const NetworkOptions& options, bool ipv6, Deadline deadline);
  static Result<Network> StartPasst(const NetworkOptions& options, bool ipv6, Deadline deadline);
  static Result<Network> StartSlirp(const NetworkOptions& options, bool ipv6, Deadline deadline);

  Status TakeIpv6Away(const NetworkOptions& options);

  GuestNetwork guest_;
  std::string ipv6_reason_;
  std::vector<ServedHost> served_;
  NetworkBackend backend_;
  std::string fallback_reason_;
  sys::UniqueFd card_;
  sys::UniqueFd held_;  // The card's other end, for a machine that must not see it close.
  sys::UniqueFd control_;
  jail::JailedProcess gate_;
  std::optional<sys::ChildProcess> passt_;
};

// argv of passt for a guest network, pure; `socket` is a descriptor number.
std::vector<std::string> PasstArguments(const std::string& passt, const GuestNetwork& guest,
                                        int socket);

}  // namespace pyro::net
