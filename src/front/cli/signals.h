// Ctrl-C and similar signals, as a descriptor to wait on.

#pragma once

namespace pyro::cli {

// From now on the first SIGINT, SIGTERM or SIGHUP makes the descriptor readable; a second one ends
// the process at once, and the next pyro removes its leftovers. SIGPIPE is ignored.
// Call once.
int CatchSignals();

// The signal that was caught, or 0.
int CaughtSignal();

}  // namespace pyro::cli
