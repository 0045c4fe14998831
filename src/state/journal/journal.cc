#include "state/journal/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/head_tail.h"
#include "base/json.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxKilledBytes = 16 * 1024;
constexpr std::size_t kMaxDeniedBytes = 128 * 1024;
constexpr std::size_t kMaxKilledName = 48;  // Printable, of the 15 bytes that the kernel keeps.

struct DeniedList {
  std::vector<Denied> denied;
};
constexpr Field kDeniedListFields[] = {
    Row<DeniedList, &DeniedList::denied>("denied").Of(kDeniedFields).To(kMaxDenied),
};

std::string DeniedText(const std::vector<Denied>& denied) {
  const DeniedList list{denied};
  return FieldsToJson(kDeniedListFields, &list).dump();
}

struct Written {
  std::size_t bytes = 0;
  int number = 0;  // The errno that ended it, or 0.
};

// As much as there is room for.
Written WriteSome(int fd, std::string_view bytes) {
  Written written;
  while (written.bytes < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + written.bytes, bytes.size() - written.bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      written.number = n < 0 ? errno : EIO;
      break;
    }
    written.bytes += static_cast<std::size_t>(n);
  }
  return written;
}

Result<std::uint64_t> FileSize(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) == 0) return static_cast<std::uint64_t>(info.st_size);
  if (errno == ENOENT || errno == ENOTDIR) return std::uint64_t{0};
  return sys::ErrnoError(errno, "look at", file.native());
}

Result<std::string> ReadAt(int fd, std::uint64_t offset, std::size_t max_bytes) {
  std::string bytes(max_bytes, '\0');
  std::size_t filled = 0;
  while (filled < max_bytes) {
    const ssize_t n =
        ::pread(fd, bytes.data() + filled, max_bytes - filled, static_cast<off_t>(offset + filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read");
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace

fs::path CommandDirectory(const fs::path& task_dir, std::int64_t sequence) {
  return task_dir / "commands" / std::to_string(sequence);
}

fs::path OutputFile(const fs::path& task_dir, std::int64_t sequence, OutputStream stream) {
  return CommandDirectory(task_dir, sequence) / Name(stream);
}

void WriteKilled(const fs::path& task_dir, std::int64_t sequence, const KilledTree& killed) {
  KilledTree told = killed;
  for (KilledProcess& one : told.processes) one.name = Printable(one.name, kMaxKilledName);
  const std::string text = FieldsToJson(kKilledTreeFields, &told).dump();
  const auto file = sys::OpenRegularFile(CommandDirectory(task_dir, sequence) / "killed",
                                         O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file) (void)WriteSome(file->get(), text);
}

std::optional<KilledTree> ReadKilled(const fs::path& task_dir, std::int64_t sequence) {
  const auto text = sys::ReadFile(CommandDirectory(task_dir, sequence) / "killed", kMaxKilledBytes);
  return text ? ParseKilled(*text) : std::nullopt;
}

std::optional<KilledTree> ParseKilled(std::string_view text) {
  const auto json = ParseJson(text, kMaxKilledBytes);
  KilledTree killed;
  if (!json || !ReadFields(kKilledTreeFields, *json, &killed)) return std::nullopt;
  return killed;
}

void WriteDenied(const fs::path& task_dir, std::int64_t sequence,
                 const std::vector<Denied>& denied) {
  if (denied.empty()) return;
  const auto file = sys::OpenRegularFile(CommandDirectory(task_dir, sequence) / "denied",
                                         O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file) (void)WriteSome(file->get(), DeniedText(denied));
}

std::vector<Denied> ReadDenied(const fs::path& task_dir, std::int64_t sequence) {
  const auto text = sys::ReadFile(CommandDirectory(task_dir, sequence) / "denied", kMaxDeniedBytes);
  return text ? ParseDenied(*text) : std::vector<Denied>();
}

void WriteGuestDenied(const fs::path& directory, const std::vector<Denied>& denied) {
  const fs::path fresh = directory / "denied.new";
  const auto file = sys::OpenRegularFile(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!file) return;
  const std::string text = DeniedText(denied);
  // Not synced: it is written while the guest waits, and a crash of the host ends the guest too.
  if (WriteSome(file->get(), text).bytes == text.size()) {
    (void)::rename(fresh.c_str(), (directory / "denied").c_str());
  }
}

void ForgetGuestDenied(const fs::path& directory) {
  (void)::unlink((directory / "denied").c_str());
}

std::vector<Denied> ReadGuestDenied(const fs::path& directory) {
  const auto text = sys::ReadFile(directory / "denied", kMaxDeniedBytes);
  return text ? ParseDenied(*text) : std::vector<Denied>();
}

std::vector<Denied> ParseDenied(std::string_view text) {
  const auto json = ParseJson(text, kMaxDeniedBytes);
  DeniedList list;
  if (!json || !ReadFields(kDeniedListFields, *json, &list)) return {};
  return std::move(list.denied);
}

std::uint64_t OutputBudget::Take(std::uint64_t wanted) {
  const std::uint64_t left = used_ < limit_ && closed_ == 0 ? limit_ - used_ : 0;
  const std::uint64_t taken = std::min(wanted, left);
  used_ += taken;
  return taken;
}

Result<JournalWriter> JournalWriter::Open(const fs::path& task_dir, std::int64_t sequence,
                                          OutputBudget& budget) {
  const fs::path directory = CommandDirectory(task_dir, sequence);
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory.parent_path()));
  if (::mkdir(directory.c_str(), 0700) != 0) {
    return sys::ErrnoError(errno, "create directory", directory.native());
  }
  JournalWriter writer(directory, budget);
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
    PYRO_ASSIGN_OR_RETURN(writer.Of(stream).fd,
                          sys::OpenRegularFile(OutputFile(task_dir, sequence, stream),
                                               O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600));
  }
  return writer;
}

std::size_t JournalWriter::Append(OutputStream stream, std::string_view bytes) {
  File& file = Of(stream);
  PYRO_CHECK(file.fd.get() >= 0);
  file.bytes += bytes.size();
  // After a gap, what follows would read as if there were none.
  const auto wanted = file.dropped == 0 ? bytes.size() : 0;
  const auto granted = static_cast<std::size_t>(budget_->Take(wanted));
  const Written written = WriteSome(file.fd.get(), bytes.substr(0, granted));
  budget_->GiveBack(granted - written.bytes);
  if (written.bytes < bytes.size()) {
    const bool first = file.dropped == 0;
    file.dropped += bytes.size() - written.bytes;
    if (first) BeginDropping(file, written.number != 0 ? written.number : budget_->closed());
  }
  return written.bytes;
}

void JournalWriter::BeginDropping(File& file, int number) {
  const std::string why =
      number == 0 ? fmt::format("the task's output limit of {} bytes was reached", budget_->limit())
                  : sys::ErrnoError(number, "the task's output could not be written").message;
  file.marker_due = fmt::format("\n[pyro: {}; what followed was dropped]\n", why);
  WriteMarkers();
}

void JournalWriter::CountInto(CommandEnd& end) const {
  end.stdout_bytes = bytes(OutputStream::kStdout);
  end.stderr_bytes = bytes(OutputStream::kStderr);
  end.stdout_dropped = dropped(OutputStream::kStdout);
  end.stderr_dropped = dropped(OutputStream::kStderr);
}

bool JournalWriter::owes_marker() const {
  return std::any_of(files_.begin(), files_.end(),
                     [](const File& file) { return !file.marker_due.empty(); });
}

void JournalWriter::WriteMarkers() {
  for (File& file : files_) {
    if (file.marker_due.empty() || file.fd.get() < 0) continue;
    file.marker_due.erase(0, WriteSome(file.fd.get(), file.marker_due).bytes);
  }
}

Status JournalWriter::Finish() {
  WriteMarkers();
  bool any = false;
  Status status = OkStatus();
  for (File& file : files_) {
    const sys::UniqueFd fd = std::move(file.fd);
    if (fd.get() < 0) continue;
    if (file.bytes == 0) continue;
    any = true;
    if (::fdatasync(fd.get()) != 0 && status) {
      status = sys::ErrnoError(errno, "sync", directory_.native());
    }
  }
  // A directory that is missing reads as one with empty files: no need to sync that.
  if (!any || !status) return status;
  PYRO_RETURN_IF_ERROR(sys::SyncDirectory(directory_));
  return sys::SyncDirectory(directory_.parent_path());
}

Result<OutputSizes> ReadOutputSizes(const fs::path& task_dir, std::int64_t sequence) {
  OutputSizes sizes;
  PYRO_ASSIGN_OR_RETURN(sizes.stdout_bytes,
                        FileSize(OutputFile(task_dir, sequence, OutputStream::kStdout)));
  PYRO_ASSIGN_OR_RETURN(sizes.stderr_bytes,
                        FileSize(OutputFile(task_dir, sequence, OutputStream::kStderr)));
  return sizes;
}

Result<std::string> ReadOutput(const fs::path& task_dir, std::int64_t sequence, OutputStream stream,
                               std::uint64_t offset, std::size_t max_bytes) {
  const fs::path file = OutputFile(task_dir, sequence, stream);
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t size, FileSize(file));
  if (offset >= size) return std::string();
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd fd, sys::OpenRegularFile(file, O_RDONLY));
  return ReadAt(fd.get(), offset,
                static_cast<std::size_t>(std::min<std::uint64_t>(size - offset, max_bytes)));
}

Result<OutputText> ReadOutputEnds(const fs::path& task_dir, std::int64_t sequence,
                                  OutputStream stream, std::size_t max_bytes) {
  OutputText text;
  PYRO_ASSIGN_OR_RETURN(text.bytes, FileSize(OutputFile(task_dir, sequence, stream)));
  if (text.bytes <= max_bytes) {
    PYRO_ASSIGN_OR_RETURN(text.text, ReadOutput(task_dir, sequence, stream, 0, max_bytes));
    return text;
  }
  text.truncated = true;
  const std::size_t head = max_bytes / 2;
  const std::size_t tail = max_bytes - head;
  PYRO_ASSIGN_OR_RETURN(const std::string first, ReadOutput(task_dir, sequence, stream, 0, head));
  PYRO_ASSIGN_OR_RETURN(const std::string last,
                        ReadOutput(task_dir, sequence, stream, text.bytes - tail, tail));
  text.text = JoinEnds(first, last, text.bytes);
  return text;
}

}  // namespace pyro::state
