#include "vmm/uml/argv.h"

#include <fmt/format.h>

namespace pyro::vmm::uml {

// The names of these words are the kernel's, and those of our patches to it: "@5", "hostport".
std::vector<std::string> KernelArguments(const std::string& program, const MachineSpec& spec,
                                         const KernelFiles& files) {
  std::vector<std::string> words = {
      program,
      fmt::format("mem={}M", spec.memory_mib),
      "initrd=" + files.initrd,
      // No other console and no terminal of the host.
      "con=null",
      fmt::format("con0=null,fd:{}", files.console),
      "console=tty0",
      fmt::format("hostport={}", files.channel),
      "quiet",
      "noreboot",
      "panic=-1",
      "rdinit=/init",
  };
  int disk = 0;
  // Not locked, because many guests share it, and never taken for a copy-on-write file.
  if (!files.base_disk.empty())
    words.push_back(fmt::format("ubd{}rcd={}", disk++, files.base_disk));
  if (files.data_disk >= 0) words.push_back(fmt::format("ubd{}=@{}", disk++, files.data_disk));
  for (const std::string& layer : files.layer_disks) {
    words.push_back(fmt::format("ubd{}rcd={}", disk++, layer));
  }
  if (spec.network) {
    // Several packets by one system call; nothing is left to a host that does not check sums.
    words.push_back(fmt::format("vec0:transport=fd,fd={},vec=1,gro=0,depth=64,mac={}",
                                files.network, spec.network->mac));
  }
  words.insert(words.end(), spec.kernel_arguments.begin(), spec.kernel_arguments.end());
  return words;
}

}  // namespace pyro::vmm::uml
