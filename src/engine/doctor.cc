#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/environments.h"
#include "engine/local_engine.h"
#include "engine/machine.h"
#include "engine/paths.h"
#include "engine/run.h"
#include "jail/jail.h"
#include "net/network.h"
#include "sys/child_process.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_state.h"

namespace pyro::engine {
namespace {

using std::chrono::seconds;

std::string Platform() {
  utsname info{};
  if (::uname(&info) != 0) return "unknown";
  std::string system = info.sysname;
  if (!system.empty() && system[0] >= 'A' && system[0] <= 'Z')
    system[0] = static_cast<char>(system[0] + 32);
  return system + "-" + info.machine;
}

DoctorCheck CheckOf(std::string name, const Status& status, std::string detail) {
  DoctorCheck check;
  check.name = std::move(name);
  check.ok = status.ok();
  check.detail = std::move(detail);
  if (!status) {
    check.detail = status.error().message;
    check.fix = status.error().hint;
  }
  return check;
}

DoctorCheck CheckFound(std::string name, const Result<std::filesystem::path>& found) {
  return CheckOf(std::move(name), found ? OkStatus() : Status(found.error()),
                 found ? found->native() : "");
}

Result<std::filesystem::path> Monitor(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<vmm::Vmm> vmm,
                        context.vmm.create(vmm::Accelerator::kTcg));
  return vmm->program();
}

DoctorCheck CheckJail() {
  DoctorCheck check;
  check.name = "jail";
  auto bwrap = sys::FindProgram("bwrap", "sudo apt-get install bubblewrap");
  if (!bwrap) return CheckFound("jail", bwrap);
  if (const Status user = jail::CheckJailUser(); !user) return CheckOf("jail", user, "");
  sys::SpawnOptions options;
  options.argv = {bwrap->native(), "--unshare-all", "--ro-bind", "/",        "/",
                  "--proc",        "/proc",         "--",        "/bin/true"};
  options.own_pid_namespace = true;
  // As in a real run: if root runs pyro, the jail is not root.
  options.credentials = jail::JailCredentials("doctor");
  auto output = sys::RunCommand(std::move(options), Deadline::After(seconds(20)), 4096);
  check.ok = output.ok() && output->status.success();
  check.detail = check.ok ? "bubblewrap can make namespaces without root"
                 : output ? PrintableLines(output->stderr_text, 300)
                          : output.error().message;
  if (check.ok) return check;
  // Other things than namespaces may be in the way of a process: its error says which.
  check.fix = output || output.error().hint.empty() ? jail::NamespaceHint() : output.error().hint;
  return check;
}

// Of this process, and so of the guests that it starts.
DoctorCheck CheckLimits() {
  const auto memory_mib = static_cast<std::uint64_t>(VmOptions().mem_mib);
  return CheckOf("limits",
                 sys::CheckGuestLimits({.memory_mib = memory_mib, .file_bytes = memory_mib << 20}),
                 fmt::format("enough for a guest of {} MiB", memory_mib));
}

DoctorCheck CheckBuilder(const Context& context) {
  DoctorCheck check;
  check.name = "environment tools";
  const auto missing = Environments(context).builder().MissingTools();
  check.ok = missing.empty();
  check.required = false;  // An installed environment runs without them.
  check.detail = check.ok ? "mmdebstrap, erofs-utils, e2fsprogs and kmod are there"
                          : "environments cannot be built here";
  for (const std::string& hint : missing) check.fix += (check.fix.empty() ? "" : "; ") + hint;
  return check;
}

DoctorCheck CheckImageTools() {
  DoctorCheck check;
  check.name = "image tools";
  check.required = false;  // Only a pull of an image needs them.
  for (const char* program : {"skopeo", "umoci"}) {
    if (!sys::FindProgram(program, "")) check.fix += fmt::format(" {}", program);
  }
  check.ok = check.fix.empty();
  check.detail = check.ok ? "skopeo and umoci are there" : "OCI images cannot be pulled here";
  if (!check.ok) check.fix = "sudo apt-get install" + check.fix;
  return check;
}

void CheckNetwork(DoctorReport& report) {
  DoctorCheck check;
  check.name = "guest network";
  check.required = false;
  auto supervisor = SupervisorProgram();
  auto network = supervisor ? net::Network::Start({.gate = supervisor->parent_path() / "pyro-net",
                                                   .identity = "doctor",
                                                   .only = std::nullopt},
                                                  Deadline::After(seconds(20)))
                            : Result<net::Network>(supervisor.error());
  check.ok = network.ok();
  if (network) {
    report.networking.backend = net::NetworkBackendName(network->backend());
    report.networking.ipv6 = network->ipv6_reason().empty();
    check.detail = report.networking.backend;
    check.detail += report.networking.ipv6 ? ", IPv4 and IPv6"
                                           : "; no IPv6: " + Printable(network->ipv6_reason());
    if (!network->fallback_reason().empty())
      check.detail += " (" + Printable(network->fallback_reason()) + ")";
  } else {
    check.detail = Printable(network.error().message);
    check.fix = network.error().hint.empty() ? "sudo apt-get install passt" : network.error().hint;
  }
  report.capabilities.guest_network = check.ok;
  report.checks.push_back(std::move(check));
}

// pyro-proxy verifies by it the hosts that get secrets, and those that downloads come from.
DoctorCheck CheckTrust() {
  const auto certificates = sys::TrustedCertificates();
  DoctorCheck check =
      CheckOf("trusted certificates", certificates ? OkStatus() : Status(certificates.error()),
              "for the hosts of secrets and downloads");
  check.required = false;
  return check;
}

void CheckAccelerator(const Context& context, DoctorReport& report) {
  const auto verdict = vmm::ChooseAccelerator(context.vmm, AcceleratorOptionsFor(context));
  if (verdict) {
    report.accelerator.name = vmm::Name(verdict->accelerator);
    report.accelerator.reason = verdict->reason;
  }
  report.checks.push_back(CheckOf("accelerator", verdict ? OkStatus() : Status(verdict.error()),
                                  report.accelerator.name + ": " + report.accelerator.reason));
}

// That of a guest whose call names none.
void CheckMachine(const Context& context, DoctorReport& report) {
  report.machines = MachinesHere(context);
  report.configuration_file = context.configuration;
  const auto wish = WishOf(context, VmOptions());
  const auto choice = wish ? ChooseMachine(context, *wish) : wish.error();
  if (choice) {
    report.machine = {std::string(NameOf(*choice)), choice->reason, choice->decided_by};
  } else {
    report.machine.reason = choice.error().message;
  }
  report.checks.push_back(CheckOf("machine", choice ? OkStatus() : Status(choice.error()),
                                  fmt::format("{}, decided by {}: {}", report.machine.name,
                                              report.machine.decided_by, report.machine.reason)));
}

// The first that is installed; empty: none is.
std::string InstalledEnvironment(const Context& context) {
  for (const auto& one : Environments(context).store().List()) {
    if (one.state == image::InstallState::kInstalled) return one.name;
  }
  return "";
}

// Only a guest that has started shows that one can: everything that it needs may be there, and its
// kernel hang on a monitor that pyro does not know yet. One that could not be tried is no failure.
// kCancelled.
Result<DoctorCheck> CheckGuest(const Context& context, bool rest_works, const CallIo& io) {
  DoctorCheck check;
  check.name = "guest";
  const std::string environment = InstalledEnvironment(context);
  if (!rest_works || environment.empty()) {
    check.required = false;
    check.detail = rest_works ? "not tried, because no environment is installed"
                              : "not tried, because another check has failed";
    check.fix = rest_works ? "pyro env pull debian:12" : "mend that first";
    return check;
  }
  const auto result = TryGuest(context, environment, io);
  if (!result && result.error().code == ErrorCode::kCancelled) return result.error();
  if (!result) return CheckOf(check.name, result.error(), "");
  check.ok = result->exit_code == 0;
  check.detail =
      check.ok ? fmt::format("one of {} started {} and ran a command after {} ms", environment,
                             result->timings.start == "boot" ? "by a boot" : "from its template",
                             result->timings.ready_ms)
               : fmt::format("`true` ended with {} in {}", result->exit_code, environment);
  return check;
}

bool IpForward() {
  const auto text = sys::ReadFile("/proc/sys/net/ipv4/ip_forward", 16);
  return text && TrimSpace(*text) == "1";
}

bool AllOk(const DoctorReport& report, std::initializer_list<std::string_view> names) {
  for (const DoctorCheck& check : report.checks) {
    for (const std::string_view name : names) {
      if (check.name == name && !check.ok) return false;
    }
  }
  return true;
}

}  // namespace

Result<DoctorReport> LocalEngine::Doctor(const CallIo& io) {
  DoctorReport report;
  report.platform = Platform();
  const char* kvm = context_.kvm_device.c_str();
  report.kvm.exists = ::access(kvm, F_OK) == 0;
  report.kvm.readable = ::access(kvm, R_OK) == 0;
  report.kvm.writable = ::access(kvm, W_OK) == 0;
  report.networking.tun = ::access("/dev/net/tun", F_OK) == 0;
  report.networking.ip_forward = IpForward();
  report.environment_cache = context_.cache / "environments";
  report.state_directory = context_.state;

  const std::string& monitor = context_.vmm.name;
  report.checks.push_back(CheckFound(monitor, Monitor(context_)));
  report.checks.push_back(CheckJail());
  report.checks.push_back(CheckLimits());
  report.checks.push_back(CheckFound("supervisor", SupervisorProgram()));
  report.checks.push_back(CheckFound("agent", AgentProgram()));
  const auto registry = OpenRegistry(context_);
  report.checks.push_back(
      CheckOf("state", registry ? OkStatus() : Status(registry.error()), context_.state.native()));
  CheckAccelerator(context_, report);
  CheckMachine(context_, report);
  report.checks.push_back(CheckBuilder(context_));
  report.checks.push_back(CheckImageTools());
  CheckNetwork(report);
  report.checks.push_back(CheckTrust());

  const bool may_boot =
      AllOk(report, {monitor, "jail", "limits", "supervisor", "state", "machine"});
  PYRO_ASSIGN_OR_RETURN(DoctorCheck guest,
                        CheckGuest(context_, may_boot && AllOk(report, {"agent"}), io));
  const bool guest_failed = guest.required && !guest.ok;
  report.checks.push_back(std::move(guest));
  report.capabilities.vm_boot = may_boot && !guest_failed;
  report.capabilities.guest_exec = report.capabilities.vm_boot && AllOk(report, {"agent"});
  report.capabilities.guest_network =
      report.capabilities.guest_network && report.capabilities.guest_exec;
  report.capabilities.host_compat = AllOk(report, {"jail"});
  report.runtime_ok = true;
  for (const DoctorCheck& check : report.checks) {
    if (check.ok) continue;
    report.runtime_ok = report.runtime_ok && !check.required;
    report.issues.push_back(
        check.fix.empty() ? fmt::format("{}: {}", check.name, check.detail)
                          : fmt::format("{}: {}; fix: {}", check.name, check.detail, check.fix));
  }
  return report;
}

}  // namespace pyro::engine
