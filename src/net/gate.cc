#include "net/gate.h"

#include <string_view>

#include <fmt/core.h>

namespace pyro::net {
namespace {

constexpr int kControlSocket = 3;
constexpr int kGuestSocket = 4;
constexpr int kOutsideSocket = 5;

}  // namespace

int GateMain(int argc, const char* const* argv) {
  const std::string_view mode = argc == 3 ? argv[1] : "";
  const std::string_view form_name = argc == 3 ? argv[2] : "";
  const vmm::FrameForm form =
      form_name == "packets" ? vmm::FrameForm::kPackets : vmm::FrameForm::kStream;
  Status status;
  if (mode == "relay") {
    status = RunRelay(kGuestSocket, form, kOutsideSocket, kControlSocket);
  } else if (mode == "slirp") {
    status = RunSlirp(kGuestSocket, form, kControlSocket);
  } else {
    fmt::print(stderr, "pyro-net is started by pyro, for one guest with a network\n");
    return 2;
  }
  if (status) return 0;
  fmt::print(stderr, "{}\n", status.error().message);
  return 1;
}

}  // namespace pyro::net
