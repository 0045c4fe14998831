// The closed sets of values in the public types, and their names: those of JSON, of Python and of
// what pyro stores.

#pragma once

#include <optional>
#include <string_view>

namespace pyro {

// How a command ended. Never an Error.
enum class Outcome {
  kExited,
  kSignalled,
  kTimedOut,     // Killed at its timeout.
  kCancelled,    // Killed because a client asked.
  kNotStarted,   // The program could not be run.
  kInterrupted,  // The guest or its supervisor died first: the command may have ended or not.
};

enum class CommandState { kRunning, kEnded };

// Of a VM or a task.
enum class GuestState {
  kCreated,  // It has a directory and a row, and no guest ever ran.
  kStarted,  // A guest runs, or ran until something killed its supervisor.
  kStopped,  // A guest ran and is off; its disk is kept.
  kDeleted,  // Never stored or returned: the row is gone.
};

// How commands run, or did until the guest stopped.
enum class ExecutionMode {
  kPending,  // Before the first start.
  kGuestVirtioSerial,
  kGuestVsock,
  kHostCompat,  // On this host, which is no VM.
};

enum class OutputStream { kStdout, kStderr };

// What is at a path of a guest.
enum class FileKind { kFile, kDirectory, kSymlink, kFifo, kSocket, kCharacterDevice, kBlockDevice };

// What happened to a file of a guest.
enum class FileChange {
  kBegan,    // From now on changes are told.
  kCreated,  // It was made, or moved to here.
  kChanged,  // Its content, mode or owner.
  kRemoved,  // It was removed, or moved away.
  kLost,     // Changes came faster than they were read: look at everything again.
};

// What runs a guest.
enum class MachineKind {
  kAuto,  // KVM where it works. Elsewhere TCG, or user mode if the user has allowed that.
  kKvm,   // QEMU on the CPU's own virtualization.
  kTcg,   // QEMU in software.
  // The guest's kernel is a process of this host, in a jail: nearly as fast as the host, behind a
  // thinner wall.
  kUsermode,
};

// A side of a sync.
enum class SyncSide { kHost, kTask };

// "exited", "running", "created", "guest_virtio_serial", "stdout" and so on. Empty for a value that
// is none of them.
std::string_view Name(Outcome outcome);
std::string_view Name(CommandState state);
std::string_view Name(GuestState state);
std::string_view Name(ExecutionMode mode);
std::string_view Name(OutputStream stream);
std::string_view Name(FileKind kind);
std::string_view Name(FileChange change);
std::string_view Name(MachineKind machine);
std::string_view Name(SyncSide side);

// The value of that name, or nullopt. Enum is one of the above.
template <typename Enum>
std::optional<Enum> FromName(std::string_view name);

}  // namespace pyro
