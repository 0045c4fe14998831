// The messages of `run`, `vm exec` and `task exec` about a command.

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/error.h"
#include "pyro/types.h"

namespace pyro::cli {

// The usual execution mode. The closing line names any other.
inline constexpr ExecutionMode kUsualMode = ExecutionMode::kGuestVirtioSerial;

// Such as "3 processes (12 sh, 13 make, 15 cc1)". `processes`: the first of so many.
std::string Reached(const std::vector<ReachedProcess>& processes, std::int64_t count);

// A line for each refusal, such as "denied: registry.example:443 (tcp): no rule allows it; allow it
// with: --allow registry.example:443".
std::string DeniedLines(const std::vector<DeniedConnection>& denied);

// Such as "killed 3 processes (12 sh, 13 make, 15 cc1); none is left".
std::string KilledLine(const KilledProcesses& killed);

// On stderr, if there is something to say; an option is named as callers of this program know it.
void SayExplanation(Explanation why);

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

// Whether a table of VMs or tasks tells their machines: only where those known are not all the
// same.
template <typename Info>
bool MachinesDiffer(const std::vector<Info>& list) {
  const auto known =
      std::ranges::find_if(list, [](const Info& one) { return !one.machine.empty(); });
  return std::any_of(known, list.end(), [&](const Info& one) {
    return !one.machine.empty() && one.machine != known->machine;
  });
}

// A cell of that column, with the space behind it; "-" for a machine that is not known.
std::string MachineCell(std::string_view machine);

}  // namespace pyro::cli
