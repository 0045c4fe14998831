#include "front/mcp/environment_builds.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/try.h"

namespace pyro::mcp_server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLookAtCancel{100};
constexpr std::string_view kImagePrefix = "oci:";  // Before names that the first use pulls.
constexpr std::size_t kMaxBuilds = 64;             // With those of the catalog.

bool IsReadable(int fd) {
  pollfd entry = {fd, POLLIN, 0};
  return fd >= 0 && ::poll(&entry, 1, 0) > 0;
}

}  // namespace

EnvironmentBuilds::EnvironmentBuilds(Engine& engine)
    : engine_(engine), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  PYRO_CHECK(stop_ >= 0);
}

EnvironmentBuilds::~EnvironmentBuilds() {
  (void)Stop(Deadline::Never());
  for (auto& [name, build] : builds_) build.thread.join();
  ::close(stop_);
}

bool EnvironmentBuilds::Stop(Deadline deadline) {
  (void)::eventfd_write(stop_, 1);
  std::unique_lock lock(mutex_);
  return news_.wait_until(lock, deadline.at(), [this] {
    return std::all_of(builds_.begin(), builds_.end(),
                       [](const auto& entry) { return entry.second.ended.has_value(); });
  });
}

Status EnvironmentBuilds::Await(const VmOptions& options, milliseconds wait, const CallIo& io) {
  const std::string& environment = options.environment;
  const auto until = steady_clock::now() + wait;
  const auto installed = engine_.InspectEnvironment(environment, Engine::Verify::kNo);
  if (installed) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const auto known, engine_.ListEnvironments());
  const bool listed = std::any_of(known.begin(), known.end(), [&](const EnvironmentInfo& one) {
    return one.name == environment;
  });
  std::unique_lock lock(mutex_);
  // A thread is kept for each name, so there are few for names that a client makes up.
  const bool image = environment.starts_with(kImagePrefix) &&
                     (builds_.size() < kMaxBuilds || builds_.contains(environment));
  if (!listed && !image) return options.allow_host_compat ? OkStatus() : Status(installed.error());
  Build& build = Begin(environment);
  while (!build.ended) {
    if (IsReadable(io.cancel_fd)) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (io.on_progress) io.on_progress(build.step, "", build.fraction);
    if (steady_clock::now() >= until) {
      const std::string far =
          build.fraction < 0 ? "" : fmt::format(", {:.0f} % of it done", build.fraction * 100);
      return MakeError(ErrorCode::kUnavailable,
                       fmt::format("the environment '{}' is being built: step '{}'{}", environment,
                                   build.step, far),
                       "make the same call again: it waits for this build; the whole takes one or "
                       "two minutes");
    }
    news_.wait_until(lock, std::min(until, steady_clock::now() + kLookAtCancel));
  }
  return *build.ended || options.allow_host_compat ? OkStatus() : *build.ended;
}

EnvironmentBuilds::Build& EnvironmentBuilds::Begin(const std::string& environment) {
  Build& build = builds_[environment];
  if (build.thread.joinable() && !build.ended) return build;
  if (build.thread.joinable()) build.thread.join();
  build = Build();
  build.thread = std::thread([this, environment, &build] { Run(environment, build); });
  return build;
}

void EnvironmentBuilds::Run(const std::string& environment, Build& build) {
  CallIo io;
  io.cancel_fd = stop_;
  io.on_progress = [this, &build](std::string_view step, std::string_view, double fraction) {
    const std::lock_guard lock(mutex_);
    build.step = step;
    build.fraction = fraction;
    news_.notify_all();
  };
  const auto pulled = engine_.PullEnvironment({{environment}}, io);
  const std::lock_guard lock(mutex_);
  build.ended = pulled ? OkStatus() : Status(pulled.error());
  news_.notify_all();
}

}  // namespace pyro::mcp_server
