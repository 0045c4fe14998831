#include "vmm/qemu/argv.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "vmm/qemu/qemu_program.h"

namespace pyro::vmm::qemu {
namespace {

const MachineFiles kFiles = {.monitor = 3,
                             .channel = 4,
                             .console = 5,
                             .kernel = {.descriptor = 6, .path = {}},
                             .initrd = {.descriptor = 7, .path = {}},
                             .base_disk = {.descriptor = 8, .path = {}},
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
  EXPECT_EQ(Lines(MachineArguments("/usr/bin/qemu-system-x86_64", spec, kFiles, {2600000})),
            R"(/usr/bin/qemu-system-x86_64
-M
microvm,acpi=on,rtc=on
-accel
tcg,thread=single,tb-size=128
-cpu
max,erms=off,fsrm=off,smap=off,smep=off,umip=off,pku=off,la57=off,mpx=off,svm=off
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
console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check cryptomgr.notests mitigations=off tsc_early_khz=2600000 pyro.debug=1
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
-device
virtio-balloon-device,free-page-reporting=on
-netdev
stream,id=net,server=off,addr.type=fd,addr.str=10
-device
virtio-net-device,netdev=net,mac=52:54:00:12:34:56
)");
}

TEST(ArgvTest, KvmTakesTheHostsProcessorAndNoStatedFrequency) {
  MachineSpec spec;
  spec.accelerator = Accelerator::kKvm;
  const std::string lines = Lines(MachineArguments("qemu", spec, kFiles, {2600000}));
  EXPECT_NE(lines.find("\n-accel\nkvm\n-cpu\nhost,svm=off,vmx=off\n"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("tcg"), std::string::npos);
  EXPECT_EQ(lines.find("tsc_early_khz"), std::string::npos);
}

TEST(ArgvTest, OneThreadForEachProcessorWhereTheyAreSafe) {
  const auto threads = [](int vcpus, TranslatingThreads safe) {
    MachineSpec spec;
    spec.vcpus = vcpus;
    const std::string lines = Lines(MachineArguments("qemu", spec, kFiles, {.threads = safe}));
    const std::size_t at = lines.find("thread=");
    return lines.substr(at, lines.find(',', at) - at);
  };
  EXPECT_EQ(threads(2, TranslatingThreads::kOneForEach), "thread=multi");
  EXPECT_EQ(threads(2, TranslatingThreads::kOne), "thread=single");
  EXPECT_EQ(threads(1, TranslatingThreads::kOne), "thread=multi");
}

TEST(ArgvTest, VersionsOfQemuAreRead) {
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n"), 702);
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 8.1.0\n"), 801);
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 10.0.2 (Debian)\n"), 1000);
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 9.2\nCopyright"), 902);
  for (const char* other :
       {"", "QEMU emulator version ", "QEMU emulator version x.y", "qemu 8.1.0"}) {
    EXPECT_FALSE(ParseQemuVersion(other)) << other;
  }
}

TEST(ArgvTest, WhatIsAbsentHasNoDevice) {
  MachineFiles files = kFiles;
  files.base_disk = {};
  files.data_disk = -1;
  const std::string lines = Lines(MachineArguments("qemu", MachineSpec(), files, {}));
  EXPECT_EQ(lines.find("net"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("blk"), std::string::npos) << lines;
  EXPECT_EQ(lines.find("tsc_early_khz"), std::string::npos) << lines;
}

TEST(ArgvTest, FilesOfThisUserAreOpenedByTheirPathsInTheJail) {
  MachineFiles files = kFiles;
  files.kernel = {.descriptor = -1, .path = "/vm/kernel"};
  files.initrd = {.descriptor = -1, .path = "/vm/initrd"};
  files.base_disk = {.descriptor = -1, .path = "/vm/base"};
  const std::string lines = Lines(MachineArguments("qemu", MachineSpec(), files, {}));
  EXPECT_NE(lines.find("-kernel\n/vm/kernel\n-initrd\n/vm/initrd\n"), std::string::npos);
  EXPECT_NE(lines.find("node-name=base-file,filename=/vm/base,locking=off,read-only=on"),
            std::string::npos)
      << lines;
  EXPECT_EQ(lines.find("set=8"), std::string::npos) << lines;
}

TEST(ArgvTest, LayersAreReadOnlyDisksBehindAllOtherDevices) {
  MachineFiles files = kFiles;
  const std::string without = Lines(MachineArguments("qemu", MachineSpec(), files, {}));
  files.layer_disks = {{.descriptor = -1, .path = "/vm/layer-1"}, {.descriptor = 12, .path = {}}};
  const std::string lines = Lines(MachineArguments("qemu", MachineSpec(), files, {}));
  ASSERT_TRUE(lines.starts_with(without)) << lines;
  EXPECT_EQ(lines.substr(without.size()), R"(-blockdev
driver=file,node-name=layer-1-file,filename=/vm/layer-1,locking=off,read-only=on
-blockdev
driver=raw,node-name=layer-1,file=layer-1-file,read-only=on
-device
virtio-blk-device,drive=layer-1,serial=layer-1
-add-fd
fd=12,set=12,opaque=layer-2
-blockdev
driver=file,node-name=layer-2-file,filename=/dev/fdset/12,locking=off,read-only=on
-blockdev
driver=raw,node-name=layer-2,file=layer-2-file,read-only=on
-device
virtio-blk-device,drive=layer-2,serial=layer-2
)");
}

// A guest goes on only in the same machine, except the place of its memory and the way of its
// start.
TEST(ArgvTest, AFrozenGuestsMachineIsTheOneItWasFrozenIn) {
  MachineFiles files = kFiles;
  files.memory = {.descriptor = 11, .path = {}};
  MachineSpec spec;
  spec.freeze_to.emplace();
  std::string frozen = Lines(MachineArguments("qemu", spec, files, {}));
  spec.freeze_to.reset();
  spec.resume_from.emplace();
  std::string resumed = Lines(MachineArguments("qemu", spec, files, {}));
  const auto cut = [](std::string& lines, const std::string& part) {
    const std::size_t at = lines.find(part);
    ASSERT_NE(at, std::string::npos) << part << " in " << lines;
    lines.erase(at, part.size());
  };
  cut(frozen, "-kernel\n/proc/self/fd/6\n-initrd\n/proc/self/fd/7\n-append\n" +
                  KernelCommandLine(spec, {}) + "\n");
  cut(resumed, "-incoming\ndefer\n");
  cut(frozen,
      "-object\nmemory-backend-file,id=ram,size=1024M,mem-path=/proc/self/fd/11,share=on\n");
  cut(resumed,
      "-object\nmemory-backend-file,id=ram,size=1024M,mem-path=/proc/self/fd/11,share=off\n");
  EXPECT_EQ(frozen, resumed);
  EXPECT_NE(frozen.find("memory-backend=ram\n"), std::string::npos);
}

TEST(ArgvTest, TheProbeIsABareMachineWithAFirmware) {
  EXPECT_EQ(Lines(ProbeArguments("qemu", Accelerator::kKvm, 3, 4)),
            R"(qemu
-M
microvm,acpi=off,rtc=off,pit=off,pic=off,isa-serial=off
-accel
kvm
-cpu
host,svm=off,vmx=off
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
-chardev
socket,id=signs,fd=4
-device
isa-debugcon,iobase=0xe9,chardev=signs
)");
}

}  // namespace
}  // namespace pyro::vmm::qemu
