// The messages of `run`, `vm exec` and `task exec` about a command.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/error.h"
#include "pyro/types.h"

namespace pyro::cli {

// The usual execution mode. The closing line names any other.
inline constexpr ExecutionMode kUsualMode = ExecutionMode::kGuestVirtioSerial;

// On stderr, for outcomes that an exit code alone does not explain.
void ExplainOutcome(const ExecResult& result, bool quiet);

// The same, and the closing line "[LABEL] exit_code=…" unless `quiet`.
void SayHowItEnded(const ExecResult& result, std::string_view label, bool quiet);

// The warning for a shell or an editor: the guest has no terminal. nullopt: the command is neither.
std::optional<Error> WithoutTerminal(const std::vector<std::string>& argv);

// Prints that warning on stderr if stdin and stdout are terminals.
void WarnWithoutTerminal(const std::vector<std::string>& argv);

// The beginning of an id, which fits into a line and is accepted in place of the id.
std::string ShortId(const std::string& id);

}  // namespace pyro::cli
