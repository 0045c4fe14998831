#include "engine/image_defaults.h"

#include <utility>

#include "base/try.h"
#include "engine/environments.h"
#include "engine/requests.h"
#include "engine/signals.h"
#include "image/store/catalog.h"

namespace pyro::engine {

std::optional<image::ImageConfig> ImageOf(const image::InstalledEnvironment& environment) {
  const auto& commit = environment.manifest.commit;
  if (!environment.manifest.image || (commit && !commit->configured)) return std::nullopt;
  return environment.manifest.image->config;
}

Result<std::optional<image::ImageConfig>> ImageOf(const Context& context,
                                                  const state::InstanceRecord& instance) {
  std::optional<image::ImageConfig> none;
  // Without a look at the disk for the usual case.
  if (image::FindCatalogEntry(instance.environment) || instance.environment_digest.empty() ||
      instance.execution_mode == ExecutionMode::kHostCompat) {
    return none;
  }
  Environments environments(context);
  PYRO_ASSIGN_OR_RETURN(
      const image::InstalledEnvironment environment,
      environments.store().FindVersion(instance.environment, instance.environment_digest));
  return ImageOf(environment);
}

std::string WorkingDirOf(const image::ImageConfig& image) {
  return image.working_dir.starts_with('/') ? image.working_dir : "/" + image.working_dir;
}

Command WithImage(const image::ImageConfig& image, const Command& command, UsualPlace place) {
  Command whole = command;
  // Of several with the same name the last one counts.
  for (auto one = image.env.rbegin(); one != image.env.rend(); ++one) {
    const std::size_t equals = one->find('=');
    whole.env.try_emplace(one->substr(0, equals), one->substr(equals + 1));
  }
  // By its number root, too: the image may give it groups.
  if (whole.user.empty()) whole.user = image.user.empty() ? "0" : image.user;
  if (whole.cwd.empty() && place == UsualPlace::kOfImage) whole.cwd = WorkingDirOf(image);
  return whole;
}

Result<Command> ImageCommand(const image::ImageConfig& image, const Command& command) {
  Command whole = command;
  whole.argv = image.entrypoint;
  whole.argv.insert(whole.argv.end(), image.command.begin(), image.command.end());
  if (!whole.argv.empty()) return whole;
  return MakeError(ErrorCode::kInvalidArgument, "the image names no command of its own",
                   "give the command and its arguments");
}

Result<wire::Exec> MakeImageExec(const std::optional<image::ImageConfig>& image,
                                 const Command& command, UsualPlace place,
                                 std::int64_t timeout_seconds, const CallIo& io) {
  if (!image) return MakeExec(command, timeout_seconds, io);
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec,
                        MakeExec(WithImage(*image, command, place), timeout_seconds, io));
  exec.make_cwd = exec.cwd == WorkingDirOf(*image);
  return exec;
}

void ConfigureGuest(const image::ImageConfig& image, wire::SupervisorConfig& config) {
  // A user or a signal that makes no sense is told by the first command, or counts for nothing.
  if (CheckUser(image.user)) config.workspace_user = image.user;
  if (const auto signal = ParseSignal(image.stop_signal)) config.stop_signal = *signal;
}

}  // namespace pyro::engine
