// pyro demo: the life of one VM, step by step.

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/text.h"
#include "front/cli/call.h"
#include "front/cli/commands.h"
#include "front/cli/output.h"

namespace pyro::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kScript = "uname -r; git --version";
constexpr std::int64_t kTimeoutSeconds = 120;

struct Step {
  std::string name;
  std::string detail;
  std::int64_t duration_ms;
};

std::int64_t SecondsSince(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

// One demonstration. The VM is deleted at its end, also after an error.
class Demonstration {
 public:
  Demonstration(Engine& engine, bool json)
      : engine_(engine),
        json_(json),
        call_(json ? Progress::Style::kQuiet : Progress::Style::kTransient, kEnvironment) {}

  ~Demonstration() {
    if (!vm_id_.empty()) (void)engine_.DeleteVm(vm_id_);
  }
  Demonstration(const Demonstration&) = delete;
  Demonstration& operator=(const Demonstration&) = delete;

  Status Run() {
    if (!json_) Print("One command in a computer of its own:\n\n");
    const auto start = Clock::now();
    auto pulled =
        Timed([&](const CallIo& io) { return engine_.PullEnvironment({{kEnvironment}}, io); });
    if (!pulled) return std::move(pulled).error();
    Tell("environment", fmt::format("{} {}", kEnvironment,
                                    pulled->built ? "built and installed" : "is installed"));
    VmOptions options;
    options.environment = kEnvironment;
    auto vm = Timed([&](const CallIo& io) { return engine_.CreateVm(options, io); });
    if (!vm) return std::move(vm).error();
    vm_id_ = vm->vm_id;
    Tell("create", fmt::format("{}, {} CPU, {} MiB", vm_id_, vm->vcpu_count, vm->mem_mib));
    vm = Timed([&](const CallIo& io) { return engine_.StartVm(vm_id_, io); });
    if (!vm) return std::move(vm).error();
    Tell("start", fmt::format("guest is up ({}, {})", vm->accelerator, Name(vm->execution_mode)));
    Command command;
    command.script = kScript;
    auto result = Timed(
        [&](const CallIo& io) { return engine_.ExecVm(vm_id_, command, kTimeoutSeconds, io); });
    if (!result) return std::move(result).error();
    result_ = std::move(*result);
    Tell("exec", fmt::format("{} (exit code {})", kScript, result_.exit_code));
    ShowOutput();
    return ExpectGone(start);
  }

  Json ToForm() const {
    Json steps = Json::array();
    for (const Step& step : steps_) {
      steps.push_back(
          {{"step", step.name}, {"detail", step.detail}, {"duration_ms", step.duration_ms}});
    }
    return {{"environment", kEnvironment},
            {"vm_id", vm_id_shown_},
            {"steps", steps},
            {"result", ToJson(result_)},
            {"total_ms", total_ms_}};
  }

  bool CommandFailed() const { return result_.exit_code != 0; }

 private:
  static constexpr const char* kEnvironment = "debian:12";

  template <typename F>
  std::invoke_result_t<F, const CallIo&> Timed(F call) {
    const auto start = Clock::now();
    auto result = call_.Run(call);
    last_ms_ = SecondsSince(start);
    return result;
  }

  void Tell(const char* name, std::string detail) {
    if (!json_) {
      Print(fmt::format("{:>2}. {:<12} {:<52} {:>6.2f} s\n", steps_.size() + 1, name,
                        Printable(detail, 120), static_cast<double>(last_ms_) / 1000));
    }
    steps_.push_back({name, std::move(detail), last_ms_});
  }

  void ShowOutput() {
    if (json_) return;
    for (const std::string& text : {result_.stdout_text, result_.stderr_text}) {
      for (const std::string_view line : Split(TrimSpace(text), '\n')) {
        if (!line.empty()) Print(fmt::format("    | {}\n", Printable(line, 70)));
      }
    }
  }

  // The command's end deleted the VM: no trace of it may remain.
  Status ExpectGone(Clock::time_point start) {
    const auto vm = Timed([&](const CallIo&) { return engine_.StatusVm(vm_id_); });
    if (vm || vm.error().code != ErrorCode::kNotFound) {
      return MakeError(ErrorCode::kInternal, "the VM is still there after its command",
                       "run 'pyro doctor' and report this");
    }
    Tell("gone", "the VM, its disk and its processes");
    vm_id_shown_ = std::exchange(vm_id_, "");
    total_ms_ = SecondsSince(start);
    if (!json_) {
      Print(fmt::format("\nAll of it took {:.2f} s. A workspace that stays: pyro task --help\n",
                        static_cast<double>(total_ms_) / 1000));
    }
    return OkStatus();
  }

  Engine& engine_;
  const bool json_;
  Call call_;
  std::string vm_id_;        // While it may have to be deleted.
  std::string vm_id_shown_;  // Once it is gone.
  ExecResult result_;
  std::vector<Step> steps_;
  std::int64_t last_ms_ = 0;
  std::int64_t total_ms_ = 0;
};

int Demo(Engine& engine, const Context& context) {
  Demonstration demonstration(engine, context.json);
  if (const Status status = demonstration.Run(); !status) return Fail(status.error(), context);
  if (context.json) PrintJson(demonstration.ToForm());
  return demonstration.CommandFailed() ? kExitFailed : kExitOk;
}

}  // namespace

void AddDemo(CLI::App& app, Context& context) {
  CLI::App* demo = app.add_subcommand("demo", "Show the life of a VM, step by step");
  demo->require_subcommand(0, 1);
  demo->add_flag("--json", context.json, "Print JSON");
  demo->footer(
      "Boots a real guest of debian:12, which is built first if it is not installed:\n"
      "that takes about a minute. Leaves nothing behind but the environment.\n\n"
      "Example:\n  pyro demo\n  pyro demo ollama --model qwen2.5");
  // The parser runs this for 'demo ollama' too, before the callback of that.
  demo->callback([&context, demo] {
    if (!demo->get_subcommands().empty()) return;
    context.action = [&context](Engine& engine) { return Demo(engine, context); };
  });
  AddDemoOllama(*demo, context);
}

}  // namespace pyro::cli
