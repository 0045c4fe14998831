// libslirp, as a network that frames go into and come out of.

#pragma once

#include <arpa/inet.h>
#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/frames.h"
#include "pyro/result.h"

struct Slirp;
struct SlirpConfig;

namespace pyro::net {

// In libslirp's form.
inline in_addr InAddr(Ipv4 address) { return in_addr{.s_addr = htonl(address)}; }

class SlirpHost {
 public:
  // Takes frames for the guest, valid during the call.
  using Deliver = std::function<void(Frame)>;

  // kInternal: libslirp does not start.
  static Result<std::unique_ptr<SlirpHost>> Make(const SlirpConfig& config, Deliver deliver);
  ~SlirpHost();
  SlirpHost(const SlirpHost&) = delete;
  SlirpHost& operator=(const SlirpHost&) = delete;

  // A frame of the guest.
  void Input(Frame frame);

  // Appends what poll() must watch; `timeout` becomes smaller, in milliseconds.
  void Fill(std::vector<pollfd>& polls, std::uint32_t& timeout);
  // After poll() on them, which may have `failed`.
  void Serve(const std::vector<pollfd>& polls, bool failed);

  // Borrowed.
  Slirp* slirp() { return slirp_.get(); }

 private:
  struct Cleanup {
    void operator()(Slirp* slirp) const;
  };
  friend struct SlirpCalls;
  explicit SlirpHost(Deliver deliver) : deliver_(std::move(deliver)) {}

  Deliver deliver_;
  std::unique_ptr<Slirp, Cleanup> slirp_;
};

}  // namespace pyro::net
