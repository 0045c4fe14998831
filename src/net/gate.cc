#include "net/gate.h"

#include <string_view>

#include <fmt/core.h>

namespace pyro::net {
namespace {

constexpr int kControlSocket = 3;
constexpr int kGuestSocket = 4;
constexpr int kOutsideSocket = 5;  // Of a relay; with slirp, the proxy's.

}  // namespace

int GateMain(int argc, const char* const* argv) {
  const bool proxy = argc == 4 && std::string_view(argv[3]) == "proxy";
  const bool good = argc == 3 || proxy;
  const std::string_view mode = good ? argv[1] : "";
  const std::string_view form_name = good ? argv[2] : "";
  const vmm::FrameForm form =
      form_name == "packets" ? vmm::FrameForm::kPackets : vmm::FrameForm::kStream;
  Status status;
  if (mode == "relay") {
    status = RunRelay({.control = kControlSocket,
                       .guest = kGuestSocket,
                       .outside = kOutsideSocket,
                       .proxy = proxy ? kOutsideSocket + 1 : -1},
                      form);
  } else if (mode == "slirp") {
    status = RunSlirp(
        {.control = kControlSocket, .guest = kGuestSocket, .proxy = proxy ? kOutsideSocket : -1},
        form);
  } else {
    fmt::print(stderr, "pyro-net is started by pyro, for one guest with a network\n");
    return 2;
  }
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}

}  // namespace pyro::net
