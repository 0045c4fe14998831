// Entry by entry from one stream to another, with every entry checked.

#pragma once

#include <cstdint>

#include "archive/meter.h"
#include "archive/patterns.h"
#include "archive/tar.h"
#include "pyro/result.h"

namespace pyro::archive {

enum class Owner { kRoot, kKeep };

// What CopyArchive() promises, for any stream; to the end of both.
Status CopyEntries(TarReader& from, TarWriter& to, Owner owner, Meter& meter,
                   const Patterns& exclude = {});

}  // namespace pyro::archive
