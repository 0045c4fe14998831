// What to tell the caller of a command whose exit code alone does not say enough: a command that
// did not start, was killed at its limit, whose files could not be written out, or that left
// processes behind that still print.

#pragma once

#include <string_view>

#include "base/command.h"
#include "pyro/types.h"

namespace pyro::engine {

enum class InTask { kNo, kYes };  // Of a task, the guest goes on after the command.

// Empty if there is nothing to add to the outcome. `accelerator`: "kvm", "tcg", or empty if it is
// not known or there is none.
Explanation Explain(const CommandSpec& spec, const CommandEnd& end, std::string_view accelerator,
                    InTask in_task);

// Of a guest that could not write out what `whose` names. Its disk may take further writes, but
// what is there is not sure until the guest starts again.
Explanation DiskFailed(std::string_view whose, InTask in_task);

}  // namespace pyro::engine
