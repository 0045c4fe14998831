#include "vmm/uml/argv.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace pyro::vmm::uml {
namespace {

std::string Lines(const std::vector<std::string>& words) {
  return fmt::format("{}\n", fmt::join(words, "\n"));
}

TEST(UsermodeArgvTest, AWholeMachine) {
  MachineSpec spec;
  spec.memory_mib = 512;
  spec.network = NetworkCard{.fd = sys::UniqueFd(), .mac = "52:54:00:12:34:56"};
  spec.kernel_arguments = {"pyro.debug=1"};
  const KernelFiles files = {.channel = 3,
                             .console = 4,
                             .initrd = "/vm/initrd",
                             .base_disk = "@5",
                             .data_disk = 6,
                             .network = 7};
  EXPECT_EQ(Lines(KernelArguments("/vm/linux", spec, files)), R"(/vm/linux
mem=512M
initrd=/vm/initrd
con=null
con0=null,fd:4
console=tty0
hostport=3
quiet
noreboot
panic=-1
rdinit=/init
ubd0rcd=@5
ubd1=@6
vec0:transport=fd,fd=7,vec=1,gro=0,depth=64,mac=52:54:00:12:34:56
pyro.debug=1
)");
}

TEST(UsermodeArgvTest, LayersAreReadOnlyDisksBehindTheOtherTwo) {
  KernelFiles files;
  files.base_disk = "@5";
  files.data_disk = 6;
  files.layer_disks = {"/vm/base-1", "@7"};
  const std::string words = Lines(KernelArguments("/vm/linux", MachineSpec(), files));
  EXPECT_NE(words.find("ubd0rcd=@5\nubd1=@6\nubd2rcd=/vm/base-1\nubd3rcd=@7\n"), std::string::npos)
      << words;
}

TEST(UsermodeArgvTest, WhatIsNotGivenIsNotThere) {
  const std::string words = Lines(KernelArguments("/vm/linux", MachineSpec(), KernelFiles()));
  EXPECT_EQ(words.find("ubd"), std::string::npos) << words;
  EXPECT_EQ(words.find("vec"), std::string::npos) << words;
}

}  // namespace
}  // namespace pyro::vmm::uml
