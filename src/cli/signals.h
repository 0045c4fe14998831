// Ctrl-C and its like, as a descriptor to wait on.

#pragma once

namespace pyro::cli {

// From now on the first SIGINT, SIGTERM or SIGHUP makes the descriptor readable; a second one ends
// the process at once, and what is left behind is cleared by the next pyro. SIGPIPE is ignored.
// Call once.
int CatchSignals();

// The signal that was caught, or 0.
int CaughtSignal();

}  // namespace pyro::cli
