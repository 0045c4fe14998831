#include "vmm/qemu/argv.h"

#include <fmt/format.h>

namespace pyro::vmm::qemu {
namespace {

using Words = std::vector<std::string>;

void Append(Words& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more);
}

// What every QEMU of ours is: no device or configuration of its own accord, no window, and no
// system call that a machine with only inherited descriptors does not need.
void AppendCommon(Words& words, Accelerator accelerator) {
  if (accelerator == Accelerator::kKvm) {
    Append(words, {"-accel", "kvm", "-cpu", "host"});
  } else {
    Append(words, {"-accel", "tcg,thread=multi", "-cpu", "max"});
  }
  Append(words, {"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox",
                 "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
}

// Disks are addressed through sets of descriptors, so that QEMU never opens a path of ours. Locking
// is the caller's: OFD locks would make two guests on one base conflict. Errors are reported to the
// guest, because the default for a full host disk is to pause the machine for ever.
void AppendDisk(Words& words, const std::string& name, int fd, bool read_only) {
  const std::string mode = read_only ? "read-only=on" : "read-only=off,discard=unmap";
  Append(words, {"-add-fd", fmt::format("fd={},set={},opaque={}", fd, fd, name)});
  Append(words, {"-blockdev",
                 fmt::format("driver=file,node-name={}-file,filename=/dev/fdset/{},locking=off,{}",
                             name, fd, mode)});
  Append(words,
         {"-blockdev", fmt::format("driver=raw,node-name={0},file={0}-file,{1}", name, mode)});
  Append(words, {"-device", fmt::format("virtio-blk-device,drive={},serial={}{}", name, name,
                                        read_only ? "" : ",werror=report,rerror=report")});
}

void AppendChannels(Words& words, const DescriptorNumbers& fds) {
  Append(words, {"-chardev", fmt::format("socket,id=monitor,fd={}", fds.monitor), "-mon",
                 "chardev=monitor,mode=control"});
  // append=on, because QEMU otherwise truncates what it opens, and a pipe cannot be.
  Append(words, {"-add-fd", fmt::format("fd={0},set={0},opaque=console", fds.console), "-chardev",
                 fmt::format("file,id=console,path=/dev/fdset/{},append=on", fds.console),
                 "-serial", "chardev:console"});
  Append(words, {"-chardev", fmt::format("socket,id=channel,fd={}", fds.channel), "-device",
                 "virtio-serial-device,max_ports=2", "-device",
                 "virtserialport,chardev=channel,name=pyro.0"});
}

}  // namespace

std::string KernelCommandLine(const MachineSpec& spec, TimeStampCounter tsc) {
  // cryptomgr.notests: the self-tests of ciphers take a tenth of the boot under TCG.
  std::string line =
      "console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check "
      "cryptomgr.notests";
  if (spec.accelerator == Accelerator::kTcg && tsc.khz != 0) {
    line += fmt::format(" tsc_early_khz={}", tsc.khz);
  }
  for (const std::string& word : spec.kernel_arguments) line += " " + word;
  return line;
}

std::vector<std::string> MachineArguments(const std::string& program, const MachineSpec& spec,
                                          const DescriptorNumbers& fds, TimeStampCounter tsc) {
  Words words = {program, "-M", "microvm,acpi=on,rtc=on"};
  AppendCommon(words, spec.accelerator);
  Append(words, {"-smp", fmt::format("{}", spec.vcpus), "-m", fmt::format("{}M", spec.memory_mib)});
  Append(words,
         {"-kernel", fmt::format("/proc/self/fd/{}", fds.kernel), "-initrd",
          fmt::format("/proc/self/fd/{}", fds.initrd), "-append", KernelCommandLine(spec, tsc)});
  AppendChannels(words, fds);
  if (fds.base_disk >= 0) AppendDisk(words, "base", fds.base_disk, true);
  if (fds.data_disk >= 0) AppendDisk(words, "data", fds.data_disk, false);
  Append(words, {"-object", "rng-random,id=entropy,filename=/dev/urandom", "-device",
                 "virtio-rng-device,rng=entropy"});
  if (spec.network && fds.network >= 0) {
    Append(
        words,
        {"-netdev", fmt::format("stream,id=net,server=off,addr.type=fd,addr.str={}", fds.network),
         "-device", fmt::format("virtio-net-device,netdev=net,mac={}", spec.network->mac)});
  }
  return words;
}

std::vector<std::string> ProbeArguments(const std::string& program, Accelerator accelerator,
                                        int firmware) {
  Words words = {program, "-M", "microvm,acpi=off,rtc=off,pit=off,pic=off,isa-serial=off"};
  AppendCommon(words, accelerator);
  Append(words, {"-m", "16M", "-bios", fmt::format("/proc/self/fd/{}", firmware), "-device",
                 "isa-debug-exit,iobase=0xf4,iosize=4"});
  return words;
}

}  // namespace pyro::vmm::qemu
