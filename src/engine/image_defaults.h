// What the configuration of an image gives to commands and guests.

#pragma once

#include <optional>
#include <string>

#include "engine/context.h"
#include "image/oci/config.h"
#include "image/store/store.h"
#include "pyro/engine.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// Of the environment's image; empty: it is one of the catalog, or was committed from a task of one.
std::optional<image::ImageConfig> ImageOf(const image::InstalledEnvironment& environment);

// The same of an instance that has a guest, whose version stays installed. On the host the image
// counts for nothing.
Result<std::optional<image::ImageConfig>> ImageOf(const Context& context,
                                                  const state::InstanceRecord& instance);

// The directory that the image names for its commands, absolute; / if it names none.
std::string WorkingDirOf(const image::ImageConfig& image);

// Where a command runs that names no directory: in the image's, or in the workspace.
enum class UsualPlace { kOfImage, kOfTask };

// The command with the image's variables and user, and by `place` its directory, where it has none
// of its own.
Command WithImage(const image::ImageConfig& image, const Command& command, UsualPlace place);

// The same with the words that the image runs by itself. kInvalidArgument: it has none.
Result<Command> ImageCommand(const image::ImageConfig& image, const Command& command);

// As MakeExec. The guest makes the image's working directory if that is missing.
Result<wire::Exec> MakeImageExec(const std::optional<image::ImageConfig>& image,
                                 const Command& command, UsualPlace place,
                                 std::int64_t timeout_seconds, const CallIo& io);

// Sets what concerns the whole guest.
void ConfigureGuest(const image::ImageConfig& image, wire::SupervisorConfig& config);

}  // namespace pyro::engine
