// What all that unpacks a tar does with its names and its content.

#pragma once

#include <sys/stat.h>

#include <string>

#include "agent/tar_format.h"
#include "pyro/result.h"

namespace pyro::agent {

inline constexpr mode_t kMissingDirectory = 0755;  // Of one on the way, which has no entry.

// Below a directory, without "." and needless slashes. EPROTO: it leads out of it.
Result<std::string> CleanName(const std::string& name);
// "" of a name without a slash.
std::string ParentOf(const std::string& name);
std::string LeafOf(const std::string& name);

// Reads the descriptor, which is borrowed. `path` is how errors call it.
TarInput::Source TarSource(int in, const std::string& path);

// Writes the content of the entry that `input` has read last to the empty file `fd`, with its
// holes. `in`: where `input` reads. EPROTO: the stream ends in it.
Status WriteTarContent(TarInput& input, int in, int fd, const TarEntry& entry,
                       const std::string& path);

}  // namespace pyro::agent
