// pyro doctor

#include <unistd.h>

#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"

namespace pyro::cli {
namespace {

const char* YesNo(bool value) { return value ? "yes" : "no"; }

// With ~ for the home directory.
std::string ShortenHome(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return path;
  const std::string prefix = std::string(home) + "/";
  return path.starts_with(prefix) ? "~/" + path.substr(prefix.size()) : path;
}

// A pass is a guest that ran.
std::string Verdict(const DoctorReport& report) {
  if (!report.runtime_ok) return Paint(STDOUT_FILENO, Colour::kRed, "FAIL");
  for (const DoctorCheck& check : report.checks) {
    if (check.name == "guest" && check.ok) return Paint(STDOUT_FILENO, Colour::kGreen, "PASS");
  }
  return Paint(STDOUT_FILENO, Colour::kYellow, "WARN");
}

int Doctor(Engine& engine, const Context& context, const CallFlags<NoArguments>& flags) {
  const auto report = engine.Doctor();
  if (!report) return Fail(report.error(), context);
  const int code = report->runtime_ok ? kExitOk : kExitFailed;
  if (flags.quiet) return code;
  if (context.json) {
    PrintJson(ToJson(*report));
    return code;
  }
  Print(fmt::format("Platform: {}\nRuntime: {}\nKVM: exists={} readable={} writable={}\n",
                    report->platform, Verdict(*report), YesNo(report->kvm.exists),
                    YesNo(report->kvm.readable), YesNo(report->kvm.writable)));
  Print(fmt::format("Environment cache: {}\n", ShortenHome(report->environment_cache)));
  Print(fmt::format("Capabilities: vm_boot={} guest_exec={} guest_network={}\n",
                    YesNo(report->capabilities.vm_boot), YesNo(report->capabilities.guest_exec),
                    YesNo(report->capabilities.guest_network)));
  Print(fmt::format("Networking: tun={} ip_forward={} ipv6={}\n", YesNo(report->networking.tun),
                    YesNo(report->networking.ip_forward), YesNo(report->networking.ipv6)));
  Print(fmt::format("Accelerator: {} ({})\n",
                    report->accelerator.name.empty() ? "none" : report->accelerator.name,
                    Printable(report->accelerator.reason, 400)));
  Print(fmt::format(
      "Machine: {} (decided by {})\n", report->machine.name.empty() ? "none" : report->machine.name,
      report->machine.decided_by.empty() ? "no machine that works"
                                         : Printable(ShortenHome(report->machine.decided_by))));
  for (const DoctorMachine& machine : report->machines) {
    Print(fmt::format("  {}: {}\n", machine.name,
                      machine.works ? "works"
                      : machine.fix.empty()
                          ? Printable(machine.reason, 400)
                          : Printable(machine.reason + "; to get it: " + machine.fix, 400)));
  }
  Print(fmt::format("Configuration: {}\n", Printable(ShortenHome(report->configuration_file))));
  for (const std::string& issue : report->issues) {
    Print(Paint(STDOUT_FILENO, Colour::kYellow, "-") + " " + Printable(issue, 800) + "\n");
  }
  return code;
}

}  // namespace

void AddDoctor(CLI::App& app, Context& context) {
  AddOperation(app, context, "doctor",
               {.quiet = "Print nothing; the exit code tells",
                .example = "pyro doctor --json",
                .note = "Exits with 0 if guests can run. It starts a guest to find out; if no "
                        "environment\nis installed, then it says WARN. The first time it tries the "
                        "accelerators out,\nwhich takes seconds."},
               std::make_shared<CallFlags<NoArguments>>(), Doctor);
}

}  // namespace pyro::cli
