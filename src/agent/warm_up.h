// The work of a guest before it is frozen, which guests that start from it are spared.

#pragma once

namespace pyro::agent {

// The purpose of this boot, from the kernel's command line: to be frozen with its data disk
// mounted, or before it has read that disk.
enum class Freezing { kNo, kWithDisk, kWithoutDisk };
Freezing BootsToBeFrozen();

// Reads the files that nearly every command needs from the base into the page cache, which is part
// of the frozen guest's memory. Missing files are left out.
void WarmPageCache();

// Waits until the kernel has reported its free memory to the host, which it does every two seconds:
// then guests that start from here have none to report.
void AwaitFreePageReport();

}  // namespace pyro::agent
