// A guest of ProcessVmm that obeys the words of guest_init.cc.

#include <unistd.h>

#include <string>
#include <string_view>

#include "sys/files.h"
#include "sys/wait_for.h"
#include "vmm/fake/process_vmm.h"

namespace pyro::vmm {
namespace {

bool Say(int fd, const std::string& text) { return sys::WriteAll(fd, text).ok(); }

int Serve(bool boots) {
  if (boots && !Say(kProcessGuestChannel, "ready\n")) return 1;
  std::string line;
  while (true) {
    (void)sys::WaitFor(kProcessGuestChannel, POLLIN, Deadline::Never());
    char c = 0;
    if (::read(kProcessGuestChannel, &c, 1) != 1) return 1;
    if (c != '\n') {
      line.push_back(c);
      continue;
    }
    if (line == "off") return kProcessGuestPoweredOff;
    if (line == "reset") return kProcessGuestReset;
    if (line.starts_with("echo ")) Say(kProcessGuestChannel, line.substr(5) + "\n");
    if (line.starts_with("print ")) Say(kProcessGuestConsole, line.substr(6) + "\r\n");
    line.clear();
  }
}

}  // namespace
}  // namespace pyro::vmm

int main(int argc, char** argv) {
  return argc == 2 ? pyro::vmm::Serve(std::string_view(argv[1]) == pyro::vmm::kProcessGuestBoots)
                   : 2;
}
