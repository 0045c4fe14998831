#include "vmm/qemu/argv.h"

#include <fmt/format.h>

namespace pyro::vmm::qemu {
namespace {

using Words = std::vector<std::string>;

// All features of TCG, except those with which a guest's kernel does work that is slow to emulate.
// These are copying and clearing byte by byte (erms), a change of translation at every access to
// user memory (smap, smep, umip, pku), page tables of five levels (la57), and bounds registers that
// no compiler uses any more (mpx). Linux 6.1 hangs on a processor with fsrm and without erms. No
// guest has virtualisation of its own (svm). processor_test.cc finds what a new QEMU adds.
constexpr char kEmulatedCpu[] =
    "max,erms=off,fsrm=off,smap=off,smep=off,umip=off,pku=off,la57=off,mpx=off,svm=off";

// All of the host's, except virtualisation: KVM's code for guests in guests stays out of reach.
constexpr char kHostCpu[] = "host,svm=off,vmx=off";

// The most translated code that a guest holds; QEMU's own limit can be 1 GiB. When it is reached,
// all of the code is thrown away, and translated again as it is needed: less makes git slower.
constexpr int kTranslatedCodeMib = 128;

void AppendWords(Words& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more);
}

// The options of every QEMU of ours: no default device or configuration, no window, and no system
// call that a machine with only inherited descriptors does not need.
void AppendCommon(Words& words, Accelerator accelerator, bool one_thread) {
  if (accelerator == Accelerator::kKvm) {
    AppendWords(words, {"-accel", "kvm", "-cpu", kHostCpu});
  } else {
    AppendWords(words, {"-accel",
                        fmt::format("tcg,thread={},tb-size={}", one_thread ? "single" : "multi",
                                    kTranslatedCodeMib),
                        "-cpu", kEmulatedCpu});
  }
  AppendWords(words,
              {"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox",
               "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
}

// Disks are addressed through sets of descriptors, so that QEMU never opens a path of ours. Locking
// is the caller's: OFD locks would make two guests on one base conflict. Errors are reported to the
// guest, because the default for a full host disk is to pause the machine for ever.
void AppendDisk(Words& words, const std::string& name, const FileAccess& file, bool read_only) {
  const std::string mode = read_only ? "read-only=on" : "read-only=off,discard=unmap";
  std::string path = file.path;
  if (file.descriptor >= 0) {
    path = fmt::format("/dev/fdset/{}", file.descriptor);
    AppendWords(words,
                {"-add-fd", fmt::format("fd={0},set={0},opaque={1}", file.descriptor, name)});
  }
  AppendWords(words,
              {"-blockdev", fmt::format("driver=file,node-name={}-file,filename={},locking=off,{}",
                                        name, path, mode)});
  AppendWords(words,
              {"-blockdev", fmt::format("driver=raw,node-name={0},file={0}-file,{1}", name, mode)});
  AppendWords(words, {"-device", fmt::format("virtio-blk-device,drive={},serial={}{}", name, name,
                                             read_only ? "" : ",werror=report,rerror=report")});
}

void AppendChannels(Words& words, const MachineFiles& fds) {
  AppendWords(words, {"-chardev", fmt::format("socket,id=monitor,fd={}", fds.monitor), "-mon",
                      "chardev=monitor,mode=control"});
  // append=on, because QEMU otherwise truncates what it opens, and a pipe cannot be.
  AppendWords(words,
              {"-add-fd", fmt::format("fd={0},set={0},opaque=console", fds.console), "-chardev",
               fmt::format("file,id=console,path=/dev/fdset/{},append=on", fds.console), "-serial",
               "chardev:console"});
  AppendWords(words, {"-chardev", fmt::format("socket,id=channel,fd={}", fds.channel), "-device",
                      "virtio-serial-device,max_ports=2", "-device",
                      "virtserialport,chardev=channel,name=pyro.0"});
}

// Guest memory in a file. Shared, the guest writes to the file; private, it writes to copies.
void AppendMemory(Words& words, const MachineSpec& spec, const MachineFiles& files) {
  if (!files.memory.given()) return;
  AppendWords(words,
              {"-object", fmt::format("memory-backend-file,id=ram,size={}M,mem-path={},share={}",
                                      spec.memory_mib, files.memory.OpenPath(),
                                      spec.freeze_to ? "on" : "off")});
}

}  // namespace

std::string FileAccess::OpenPath() const {
  return descriptor >= 0 ? fmt::format("/proc/self/fd/{}", descriptor) : path;
}

std::string KernelCommandLine(const MachineSpec& spec, const HostFacts& host) {
  // cryptomgr.notests: the self-tests of ciphers take a tenth of the boot under TCG.
  std::string line =
      "console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check "
      "cryptomgr.notests";
  if (spec.accelerator == Accelerator::kTcg) {
    // An emulated processor does not have the faults that they protect against.
    line += " mitigations=off";
    if (host.tsc_khz != 0) line += fmt::format(" tsc_early_khz={}", host.tsc_khz);
  }
  for (const std::string& word : spec.kernel_arguments) line += " " + word;
  return line;
}

std::vector<std::string> MachineArguments(const std::string& program, const MachineSpec& spec,
                                          const MachineFiles& files, const HostFacts& host) {
  Words words = {program, "-M", "microvm,acpi=on,rtc=on"};
  if (files.memory.given()) words.back() += ",memory-backend=ram";
  AppendCommon(words, spec.accelerator, spec.vcpus > 1 && host.threads == TranslatingThreads::kOne);
  AppendWords(words,
              {"-smp", fmt::format("{}", spec.vcpus), "-m", fmt::format("{}M", spec.memory_mib)});
  AppendMemory(words, spec, files);
  if (spec.resume_from) {
    AppendWords(words, {"-incoming", "defer"});
  } else {
    AppendWords(words, {"-kernel", files.kernel.OpenPath(), "-initrd", files.initrd.OpenPath(),
                        "-append", KernelCommandLine(spec, host)});
  }
  AppendChannels(words, files);
  if (files.base_disk.given()) AppendDisk(words, "base", files.base_disk, true);
  if (files.data_disk >= 0) {
    AppendDisk(words, "data", {.descriptor = files.data_disk, .path = {}}, false);
  }
  AppendWords(words, {"-object", "rng-random,id=entropy,filename=/dev/urandom", "-device",
                      "virtio-rng-device,rng=entropy"});
  // Never inflated: with it a guest reports its free memory, for the host to take back.
  AppendWords(words, {"-device", "virtio-balloon-device,free-page-reporting=on"});
  if (spec.network && files.network >= 0) {
    AppendWords(
        words,
        {"-netdev", fmt::format("stream,id=net,server=off,addr.type=fd,addr.str={}", files.network),
         "-device", fmt::format("virtio-net-device,netdev=net,mac={}", spec.network->mac)});
  }
  // Last: the kernel names disks in the order of the devices.
  int layer = 0;
  for (const FileAccess& file : files.layer_disks) {
    AppendDisk(words, fmt::format("layer-{}", ++layer), file, true);
  }
  return words;
}

std::vector<std::string> ProbeArguments(const std::string& program, Accelerator accelerator,
                                        int firmware, int signs) {
  Words words = {program, "-M", "microvm,acpi=off,rtc=off,pit=off,pic=off,isa-serial=off"};
  AppendCommon(words, accelerator, false);
  AppendWords(words, {"-m", "16M", "-bios", fmt::format("/proc/self/fd/{}", firmware), "-chardev",
                      fmt::format("socket,id=signs,fd={}", signs), "-device",
                      "isa-debugcon,iobase=0xe9,chardev=signs"});
  return words;
}

}  // namespace pyro::vmm::qemu
