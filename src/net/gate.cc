#include "net/gate.h"

#include <string_view>

#include <fmt/core.h>

namespace pyro::net {
namespace {

constexpr int kGuestSocket = 3;
constexpr int kOutsideSocket = 4;

}  // namespace

int GateMain(int argc, const char* const* argv) {
  const std::string_view mode = argc == 2 ? argv[1] : "";
  Status status;
  if (mode == "relay") {
    status = RunRelay(kGuestSocket, kOutsideSocket);
  } else if (mode == "slirp") {
    status = RunSlirp(kGuestSocket);
  } else {
    fmt::print(stderr, "pyro-net is started by pyro, for one guest with a network\n");
    return 2;
  }
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}

}  // namespace pyro::net
