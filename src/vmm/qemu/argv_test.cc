#include "vmm/qemu/argv.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace pyro::vmm::qemu {
namespace {

constexpr DescriptorNumbers kNumbers = {.monitor = 3,
                                        .channel = 4,
                                        .console = 5,
                                        .kernel = 6,
                                        .initrd = 7,
                                        .base_disk = 8,
                                        .data_disk = 9,
                                        .network = 10};

std::string Lines(const std::vector<std::string>& words) {
  return fmt::format("{}\n", fmt::join(words, "\n"));
}

TEST(ArgvTest, AWholeMachineUnderTcg) {
  MachineSpec spec;
  spec.vcpus = 2;
  spec.memory_mib = 512;
  spec.network = NetworkCard{.fd = sys::UniqueFd(), .mac = "52:54:00:12:34:56"};
  spec.kernel_arguments = {"pyro.debug=1"};
  EXPECT_EQ(Lines(MachineArguments("/usr/bin/qemu-system-x86_64", spec, kNumbers, {2600000})),
            R"(/usr/bin/qemu-system-x86_64
-M
microvm,acpi=on,rtc=on
-accel
tcg,thread=multi
-cpu
max
-nodefaults
-no-user-config
-no-reboot
-display
none
-sandbox
on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-smp
2
-m
512M
-kernel
/proc/self/fd/6
-initrd
/proc/self/fd/7
-append
console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check cryptomgr.notests tsc_early_khz=2600000 pyro.debug=1
-chardev
socket,id=monitor,fd=3
-mon
chardev=monitor,mode=control
-add-fd
fd=5,set=5,opaque=console
-chardev
file,id=console,path=/dev/fdset/5,append=on
-serial
chardev:console
-chardev
socket,id=channel,fd=4
-device
virtio-serial-device,max_ports=2
-device
virtserialport,chardev=channel,name=pyro.0
-add-fd
fd=8,set=8,opaque=base
-blockdev
driver=file,node-name=base-file,filename=/dev/fdset/8,locking=off,read-only=on
-blockdev
driver=raw,node-name=base,file=base-file,read-only=on
-device
virtio-blk-device,drive=base,serial=base
-add-fd
fd=9,set=9,opaque=data
-blockdev
driver=file,node-name=data-file,filename=/dev/fdset/9,locking=off,read-only=off,discard=unmap
-blockdev
driver=raw,node-name=data,file=data-file,read-only=off,discard=unmap
-device
virtio-blk-device,drive=data,serial=data,werror=report,rerror=report
-object
rng-random,id=entropy,filename=/dev/urandom
-device
virtio-rng-device,rng=entropy
-netdev
stream,id=net,server=off,addr.type=fd,addr.str=10
-device
virtio-net-device,netdev=net,mac=52:54:00:12:34:56
)");
}

TEST(ArgvTest, KvmTakesTheHostsProcessorAndNoStatedFrequency) {
  MachineSpec spec;
  spec.accelerator = Accelerator::kKvm;
  const std::string lines = Lines(MachineArguments("qemu", spec, kNumbers, {2600000}));
  EXPECT_NE(lines.find("\n-accel\nkvm\n-cpu\nhost\n"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("tcg"), std::string::npos);
  EXPECT_EQ(lines.find("tsc_early_khz"), std::string::npos);
}

TEST(ArgvTest, WhatIsAbsentHasNoDevice) {
  DescriptorNumbers numbers = kNumbers;
  numbers.base_disk = numbers.data_disk = -1;
  const std::string lines = Lines(MachineArguments("qemu", MachineSpec(), numbers, {}));
  EXPECT_EQ(lines.find("net"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("blk"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("tsc_early_khz"), std::string::npos) << lines;
}

TEST(ArgvTest, TheProbeIsABareMachineWithAFirmware) {
  EXPECT_EQ(Lines(ProbeArguments("qemu", Accelerator::kKvm, 3)),
            R"(qemu
-M
microvm,acpi=off,rtc=off,pit=off,pic=off,isa-serial=off
-accel
kvm
-cpu
host
-nodefaults
-no-user-config
-no-reboot
-display
none
-sandbox
on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-m
16M
-bios
/proc/self/fd/3
-device
isa-debug-exit,iobase=0xf4,iosize=4
)");
}

}  // namespace
}  // namespace pyro::vmm::qemu
