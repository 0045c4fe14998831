#include "engine/session/journal_output.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "base/try.h"
#include "state/journal/journal.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kJournalReadBytes = 256 * 1024;

}  // namespace

JournalOutput::JournalOutput()
    : chunk_(std::make_unique_for_overwrite<char[]>(kJournalReadBytes)) {}

Result<std::unique_ptr<JournalOutput>> JournalOutput::Open(const std::filesystem::path& task_dir,
                                                           std::int64_t sequence,
                                                           const OutputOffsets& from) {
  std::unique_ptr<JournalOutput> output(new JournalOutput);
  output->changes_ = sys::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!output->changes_.valid()) return sys::ErrnoError(errno, "inotify");
  for (const OutputStream stream : kOutputStreams) {
    const auto path = state::OutputFile(task_dir, sequence, stream);
    sys::UniqueFd& file = output->files_[static_cast<std::size_t>(stream)];
    PYRO_ASSIGN_OR_RETURN(file, sys::OpenRegularFile(path, O_RDONLY));
    const std::int64_t at =
        stream == OutputStream::kStdout ? from.stdout_offset : from.stderr_offset;
    if (::lseek(file.get(), at, SEEK_SET) < 0) return sys::ErrnoError(errno, "seek", path.native());
    if (::inotify_add_watch(output->changes_.get(), path.c_str(), IN_MODIFY) < 0) {
      return sys::ErrnoError(errno, "watch", path.native());
    }
  }
  return output;
}

Status JournalOutput::Read() {
  // First: what is written after the reads below makes it readable again.
  char events[4096];
  while (::read(changes_.get(), events, sizeof events) > 0) {
  }
  for (const OutputStream stream : kOutputStreams) {
    std::string& bytes = buffer(stream);
    if (!bytes.empty()) continue;
    const int file = files_[static_cast<std::size_t>(stream)].get();
    ssize_t n = -1;
    do {
      n = ::read(file, chunk_.get(), kJournalReadBytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return sys::ErrnoError(errno, "read the journal");
    bytes.assign(chunk_.get(), static_cast<std::size_t>(n));
  }
  return OkStatus();
}

}  // namespace pyro::engine
