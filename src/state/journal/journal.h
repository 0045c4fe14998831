// The output of a task's commands: tasks/<id>/commands/<sequence>/{stdout,stderr}. One writer, the
// task's supervisor; any number of readers, who see whole bytes as they come.

#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/command.h"
#include "base/denied.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::state {

// Of both streams of all commands of a task together.
inline constexpr std::uint64_t kMaxTaskOutputBytes = 1024ULL * 1024 * 1024;

std::filesystem::path CommandDirectory(const std::filesystem::path& task_dir,
                                       std::int64_t sequence);
std::filesystem::path OutputFile(const std::filesystem::path& task_dir, std::int64_t sequence,
                                 OutputStream stream);

// How much output of a task may still be kept, shared by the writers of its running commands.
// Belongs to one thread.
class OutputBudget {
 public:
  // `used`: InstanceRecord::output_bytes, once no command of the task is recorded as running.
  explicit OutputBudget(std::uint64_t used, std::uint64_t limit = kMaxTaskOutputBytes)
      : used_(used), limit_(limit) {}

  // At most `wanted`; nothing while it is closed.
  std::uint64_t Take(std::uint64_t wanted);
  void GiveBack(std::uint64_t bytes) { used_ -= bytes; }

  // While the disk is full: the remaining room is for the ends of commands. `number` is the errno
  // that reported it.
  void Close(int number) { closed_ = number; }
  void Reopen() { closed_ = 0; }
  int closed() const { return closed_; }

  std::uint64_t used() const { return used_; }
  std::uint64_t limit() const { return limit_; }

 private:
  int closed_ = 0;
  std::uint64_t used_;
  std::uint64_t limit_;
};

// Takes the output of one running command. A full budget or disk never stops the command: output
// that does not fit is counted and dropped, and from then on all of that stream. One line in the
// file says so. Not thread-safe.
class JournalWriter {
 public:
  // Makes the command's directory and both files, 0600. `budget` must outlive it. kAlreadyExists,
  // kNoSpace.
  static Result<JournalWriter> Open(const std::filesystem::path& task_dir, std::int64_t sequence,
                                    OutputBudget& budget);

  // Returns the number of bytes kept: readers see them at once, and they survive a kill of this
  // process.
  std::size_t Append(OutputStream stream, std::string_view bytes);

  // True: the line that says where a stream was cut is not in its file yet, because room is
  // missing.
  bool owes_marker() const;
  // Tries again to write the missing lines.
  void WriteMarkers();

  // All kept output is on disk when it returns; no more may be appended. Call it before the
  // command's end is recorded.
  Status Finish();

  // Sets the numbers of bytes of `end`.
  void CountInto(CommandEnd& end) const;

  std::uint64_t bytes(OutputStream stream) const { return Of(stream).bytes; }      // In total.
  std::uint64_t dropped(OutputStream stream) const { return Of(stream).dropped; }  // Of these.

 private:
  struct File {
    sys::UniqueFd fd;
    std::uint64_t bytes = 0;
    std::uint64_t dropped = 0;
    std::string marker_due;  // A line for which the disk has had no room yet.
  };

  JournalWriter(std::filesystem::path directory, OutputBudget& budget)
      : directory_(std::move(directory)), budget_(&budget) {}

  File& Of(OutputStream stream) { return files_[static_cast<std::size_t>(stream)]; }
  const File& Of(OutputStream stream) const { return files_[static_cast<std::size_t>(stream)]; }
  void BeginDropping(File& file, int number);

  std::filesystem::path directory_;
  OutputBudget* budget_;
  std::array<File, 2> files_;
};

// What the kill of a command ended is a file beside its output. A disk without room has none.
void WriteKilled(const std::filesystem::path& task_dir, std::int64_t sequence,
                 const KilledTree& killed);
// Empty: there is none, or it is broken.
std::optional<KilledTree> ReadKilled(const std::filesystem::path& task_dir, std::int64_t sequence);
// Of the file's text.
std::optional<KilledTree> ParseKilled(std::string_view text);

// What was refused to the guest while a command ran, a file beside its output. A disk without room
// has none.
void WriteDenied(const std::filesystem::path& task_dir, std::int64_t sequence,
                 const std::vector<Denied>& denied);
// Empty: there is none, or it is broken.
std::vector<Denied> ReadDenied(const std::filesystem::path& task_dir, std::int64_t sequence);

// The same of a guest since its start, in the directory of its VM or task.
void WriteGuestDenied(const std::filesystem::path& directory, const std::vector<Denied>& denied);
void ForgetGuestDenied(const std::filesystem::path& directory);
std::vector<Denied> ReadGuestDenied(const std::filesystem::path& directory);

// Of such a file's text.
std::vector<Denied> ParseDenied(std::string_view text);

struct OutputSizes {
  std::uint64_t stdout_bytes = 0;
  std::uint64_t stderr_bytes = 0;
};

// Sizes of the files, with their lines about what was dropped. A file that is missing is empty.
Result<OutputSizes> ReadOutputSizes(const std::filesystem::path& task_dir, std::int64_t sequence);

// At most `max_bytes` from `offset` on; empty at or beyond the end, or if the file is missing.
Result<std::string> ReadOutput(const std::filesystem::path& task_dir, std::int64_t sequence,
                               OutputStream stream, std::uint64_t offset, std::size_t max_bytes);

struct OutputText {
  std::string text;  // All of it, or head, a line with the number of bytes left out, and tail.
  std::uint64_t bytes = 0;  // Of the file.
  bool truncated = false;
};

// In at most `max_bytes` and that line, without reading the middle.
Result<OutputText> ReadOutputEnds(const std::filesystem::path& task_dir, std::int64_t sequence,
                                  OutputStream stream, std::size_t max_bytes);

}  // namespace pyro::state
