// What a guest does before it is frozen, so that those that go on from it need not.

#pragma once

namespace pyro::agent {

// What this guest boots for, as the host says on the kernel's command line: to be frozen with its
// data disk mounted, or before it has looked at that.
enum class Freezing { kNo, kWithDisk, kWithoutDisk };
Freezing BootsToBeFrozen();

// Reads what nearly every command needs from the base into the page cache, which the frozen guest's
// memory holds. What is not there is left out.
void WarmPageCache();

// Waits until the kernel has told the host of its free memory, which it does every two seconds: who
// goes on from here has nothing to tell.
void AwaitFreePageReport();

}  // namespace pyro::agent
