#include "supervisor/template_maker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/build_id.h"
#include "base/head_tail.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "supervisor/base_disks.h"
#include "supervisor/console_log.h"
#include "supervisor/start_program.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "vmm/template.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kTemplateLaunchLimit{30};
constexpr seconds kFreezeLimit{30};

// In a template for any data disk, each guest's disk replaces this one, and no process reads it
// meanwhile.
constexpr off_t kDataDiskBytes = off_t{10} << 30;

// Any address: each guest sets its own.
constexpr char kTemplateMac[] = "52:54:00:00:00:01";

Result<sys::UniqueFd> MakeDataDisk(const wire::SupervisorConfig& config,
                                   vmm::TemplateDraft& draft) {
  if (!config.blank_disk.empty()) return draft.MakeDisk(config.blank_disk);
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd disk, sys::MakeMemoryFile(""));
  if (::ftruncate(disk.get(), kDataDiskBytes) != 0) return sys::ErrnoError(errno, "make a disk");
  return disk;
}

Result<vmm::MachineSpec> OpenMachineFiles(const wire::SupervisorConfig& config,
                                          vmm::TemplateDraft& draft) {
  vmm::MachineSpec spec;
  spec.vcpus = config.vcpu_count;
  spec.memory_mib = config.mem_mib;
  PYRO_ASSIGN_OR_RETURN(spec.accelerator, vmm::ParseAccelerator(config.accelerator));
  spec.identity = "template";
  spec.kernel_arguments = {config.blank_disk.empty() ? kTemplateWithoutDisk : kTemplateWithDisk};
  PYRO_ASSIGN_OR_RETURN(spec.kernel, sys::OpenRegularFile(config.kernel, O_RDONLY));
  PYRO_ASSIGN_OR_RETURN(spec.initrd, sys::OpenRegularFile(config.initrd, O_RDONLY));
  PYRO_RETURN_IF_ERROR(OpenBaseDisks(config, spec));
  PYRO_ASSIGN_OR_RETURN(spec.data_disk, MakeDataDisk(config, draft));
  return spec;
}

// Reads until the agent has greeted. It also reads the console, or the guest would wait.
class Boot {
 public:
  Boot(sys::UniqueFd channel, sys::UniqueFd console)
      : channel_(std::move(channel)), console_(std::move(console)) {}

  Status AwaitHello(Deadline deadline) {
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const std::optional<wire::Frame> frame, decoder_.Next());
      if (frame) return CheckHello(*frame);
      pollfd polls[] = {{channel_.get(), POLLIN, 0}, {console_.get(), POLLIN, 0}};
      ::poll(polls, 2, deadline.PollTimeout());
      if (polls[1].revents != 0) ReadConsole();
      if (polls[0].revents != 0) PYRO_RETURN_IF_ERROR(ReadChannel());
      if (deadline.Expired()) return Failure("did not boot in time");
    }
  }

 private:
  Error Failure(std::string_view why) const {
    return MakeError(ErrorCode::kGuestUnavailable, fmt::format("the guest for a template {}{}", why,
                                                               LastLines(console_end_.Text(), 8)));
  }

  Status CheckHello(const wire::Frame& frame) {
    if (frame.type == wire::FrameType::kError) {
      return Failure("failed: " + Printable(wire::ErrorFromFrame(frame).message, 500));
    }
    PYRO_ASSIGN_OR_RETURN(const wire::Hello hello, wire::Hello::FromFrame(frame));
    if (hello.protocol != wire::kProtocolVersion || hello.build != BuildId()) {
      return MakeError(ErrorCode::kProtocol, "the agent is of another build");
    }
    return OkStatus();
  }

  Status ReadChannel() {
    char bytes[4096];
    const ssize_t n = ::read(channel_.get(), bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return OkStatus();
    if (n <= 0) return Failure("ended");
    decoder_.Append({bytes, static_cast<std::size_t>(n)});
    return OkStatus();
  }

  void ReadConsole() {
    char bytes[4096];
    const ssize_t n = ::read(console_.get(), bytes, sizeof bytes);
    if (n > 0) console_end_.Append({bytes, static_cast<std::size_t>(n)});
    if (n == 0) console_.Reset();
  }

  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  wire::FrameDecoder decoder_;
  HeadTail console_end_{0, 4096};
};

// Returns the size of the data disk that the guest had.
Result<std::int64_t> BootAndFreeze(const wire::SupervisorConfig& config, vmm::Vmm& vmm,
                                   vmm::TemplateDraft& draft,
                                   const std::function<void(std::string_view)>& on_phase) {
  PYRO_ASSIGN_OR_RETURN(vmm::MachineSpec spec, OpenMachineFiles(config, draft));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t data_disk_bytes, vmm::DataDiskSize(spec));
  PYRO_ASSIGN_OR_RETURN(spec.freeze_to, draft.MakeFiles());
  sys::SocketPair card;
  if (config.network) {
    // It has no other end: the guest has not set its network up yet.
    PYRO_ASSIGN_OR_RETURN(card, sys::MakeSocketPair());
    spec.network = vmm::NetworkCard{.fd = std::move(card.second), .mac = kTemplateMac};
  }
  on_phase("boot");
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Machine> machine,
                        vmm.Start(std::move(spec), Deadline::After(kTemplateLaunchLimit)));
  Boot boot(machine->TakeGuestChannel(), machine->TakeConsole());
  PYRO_RETURN_IF_ERROR(boot.AwaitHello(Deadline::After(config.boot_timeout)));
  on_phase("freeze");
  PYRO_RETURN_IF_ERROR(machine->Freeze(Deadline::After(kFreezeLimit)));
  machine->Kill();
  PYRO_RETURN_IF_ERROR(machine->Wait(Deadline::After(kFreezeLimit)));
  return data_disk_bytes;
}

Status MakeTemplate(const wire::SupervisorConfig& config, vmm::Vmm& vmm, const Clock& clock,
                    const std::function<void(std::string_view phase)>& on_phase) {
  const wire::TemplateConfig& templ = config.templ;
  // A booting guest uses far less than all its memory.
  const std::uint64_t need = std::uint64_t{512} << 20;
  PYRO_ASSIGN_OR_RETURN(std::optional<vmm::TemplateDraft> draft,
                        vmm::TemplateDraft::Begin(templ.directory, templ.key, need));
  if (!draft) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const std::int64_t data_disk_bytes,
                        BootAndFreeze(config, vmm, *draft, on_phase));
  on_phase("write");
  PYRO_RETURN_IF_ERROR(draft->Commit({.environment = templ.environment,
                                      .environment_digest = templ.environment_digest,
                                      .vcpu_count = config.vcpu_count,
                                      .mem_mib = config.mem_mib,
                                      .network = config.network,
                                      .new_disk = !config.blank_disk.empty(),
                                      .data_disk_bytes = data_disk_bytes,
                                      .made_at = FormatTime(clock.Now())}));
  vmm::LimitTemplates(templ.directory.parent_path(), kMaxTemplateBytes, templ.directory);
  return OkStatus();
}

}  // namespace

Status MakeTemplates(const wire::SupervisorConfig& config, vmm::Vmm& vmm, const Clock& clock,
                     const std::function<void(std::string_view phase)>& on_phase) {
  PYRO_RETURN_IF_ERROR(MakeTemplate(config, vmm, clock, on_phase));
  if (config.templ.next_directory.empty()) return OkStatus();
  wire::SupervisorConfig next = config;
  next.templ.directory = config.templ.next_directory;
  next.templ.key = config.templ.next_key;
  next.blank_disk.clear();
  return MakeTemplate(next, vmm, clock, on_phase);
}

void StartTemplateMaker(wire::SupervisorConfig config) {
  config.kind = wire::GuestKind::kTemplate;
  config.id.clear();
  config.directory.clear();
  config.spare_pool.clear();
  config.secrets.clear();
  config.download_routes.clear();
  config.dies_with_first_client = false;
  StartDetached("template", std::move(config));
}

}  // namespace pyro::supervisor
