#include "engine/task/task_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/extract.h"
#include "archive/formats.h"
#include "archive/pack.h"
#include "base/head_tail.h"
#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/requests.h"
#include "engine/session/guest_command.h"
#include "engine/task/transfer_notices.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// stdout to a pipe (or nowhere), stderr kept for messages.
class PipeSink : public OutputSink {
 public:
  explicit PipeSink(int fd) : fd_(fd) {}

  int WritableFd(OutputStream stream) override {
    return stream == OutputStream::kStdout ? fd_ : -1;
  }

  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    if (stream == OutputStream::kStderr) {
      errors_.Append(bytes);
      return bytes.size();
    }
    if (fd_ < 0) return bytes.size();
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR || errno == EAGAIN) return std::size_t{0};
    return sys::ErrnoError(errno, "write");
  }

  // What came on stderr, as it came.
  std::string said() const { return errors_.Text(); }

 private:
  int fd_;
  HeadTail errors_{1024, 1024};
};

// Runs one of our own commands in the guest.
Result<CommandEnd> RunTransfer(SupervisorLink& link, std::vector<std::string> argv, int stdin_fd,
                               PipeSink& sink, const CallIo& io) {
  wire::Exec exec;
  exec.argv = std::move(argv);
  exec.cwd = kWorkspace;
  exec.sync = true;
  CallIo own;
  own.stdin_fd = stdin_fd;
  own.cancel_fd = io.cancel_fd;
  TaskWork command(link, exec, own);
  PYRO_RETURN_IF_ERROR(CommandSession(command, &sink, own).Run());
  return command.end();
}

Status CheckExit(const CommandEnd& end, const PipeSink& sink, std::string_view what) {
  if (end.ExitCode() == 0) return OkStatus();
  const std::string said = sink.said();
  const bool full = said.find("No space left") != std::string::npos;
  return MakeError(full ? ErrorCode::kNoSpace : ErrorCode::kGuestUnavailable,
                   fmt::format("{}: {}", what, PrintableLines(said)),
                   full ? "give the task a larger --disk-mib" : "");
}

// tar exits with 1 if files changed while it read them; the stream is whole nevertheless.
bool FilesChanged(const CommandEnd& end, const PipeSink& sink) {
  if (end.ExitCode() != 1) return false;
  const std::string said = sink.said();
  for (const char* sign : {"changed as we read it", "removed before we read it", "shrank by"}) {
    if (said.find(sign) != std::string::npos) return true;
  }
  return false;
}

// Into $0. The inodes and change times of a copied git repository differ from its index: git would
// read every file again and rewrite the index. So this tells git to ignore both.
constexpr char kUnpack[] =
    "tar --warning=no-unknown-keyword --numeric-owner -xpf - -C \"$0\" || exit; "
    "[ -e \"$0/.git\" ] || exit 0; grep -qsi checkstat /etc/gitconfig || "
    "printf '[core]\\n\\ttrustctime = false\\n\\tcheckStat = minimal\\n' >> /etc/gitconfig";

constexpr char kLook[] =
    "[ -d \"$0\" ] && exit 0; [ -f \"$0\" ] && exit 3; [ -e \"$0\" ] && exit 5; "
    "[ -L \"$0\" ] && exit 6; exit 4";

// What is to be exported: something must be there.
Result<archive::Exported> FindInGuest(SupervisorLink& link, const std::string& path,
                                      const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const auto what, LookInGuest(link, path, io));
  if (what) return *what;
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("the task has no file or directory '{}'", Printable(path)),
                   "relative paths begin at /workspace");
}

// Where an export goes to: a target on disk, or a descriptor.
class ExportEnd {
 public:
  static Result<ExportEnd> Choose(const std::string& destination, archive::Exported what,
                                  const std::string& from, const ExportOptions& options) {
    ExportEnd end;
    if (options.out_fd < 0) {
      PYRO_ASSIGN_OR_RETURN(
          end.target_, archive::ChooseTarget(fs::absolute(destination).lexically_normal(), what,
                                             from, options.force));
      return end;
    }
    end.out_fd_ = options.out_fd;
    const bool terminal = ::isatty(options.out_fd) == 1;
    end.content_ = terminal ? archive::Content::kText : archive::Content::kAny;
    if (what == archive::Exported::kFile) {
      end.target_.kind = archive::ExportKind::kFile;
    } else if (terminal) {
      return MakeError(ErrorCode::kInvalidArgument, "a tar is not written to a terminal",
                       "redirect stdout to a file or a pipe");
    } else {
      end.target_.kind = archive::ExportKind::kTar;
    }
    return end;
  }

  // On a thread of its own, while the guest sends.
  Status Receive(int in_fd, const archive::Operation& operation) {
    if (out_fd_ < 0) {
      auto staged = archive::Receive(in_fd, target_, operation);
      if (!staged) return std::move(staged).error();
      summary_ = staged->summary();
      staged_.emplace(std::move(*staged));
      return OkStatus();
    }
    PYRO_ASSIGN_OR_RETURN(summary_,
                          archive::ReceiveTo(in_fd, out_fd_, target_.kind, content_, operation));
    return OkStatus();
  }

  Status Commit() { return staged_ ? staged_->Commit() : OkStatus(); }

  const archive::Summary& summary() const { return summary_; }
  std::string destination() const { return target_.path.native(); }

 private:
  archive::ExportTarget target_;  // Without a path for a descriptor.
  int out_fd_ = -1;
  archive::Content content_ = archive::Content::kAny;
  std::optional<archive::Staged> staged_;
  archive::Summary summary_;
};

Status CheckSource(const std::string& source_path, bool& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(source_path, error);
  if (!fs::exists(status)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no file or directory '{}'", Printable(source_path)));
  }
  directory = fs::is_directory(status);
  if (directory) return OkStatus();
  if (fs::is_regular_file(status) && archive::CompressionOfName(source_path)) return OkStatus();
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is neither a directory nor an archive", Printable(source_path)),
      fmt::format("give a directory, or a tar archive named {}", archive::kArchiveNames));
}

}  // namespace

std::string GuestPath(const std::string& path) {
  fs::path full = fs::path(kWorkspace) / path;
  std::string text = full.lexically_normal().native();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

archive::Operation MakeOperation(const CallIo& io, const char* phase) {
  archive::Operation operation;
  operation.cancel_fd = io.cancel_fd;
  operation.on_progress = [&io, phase](const archive::Progress& progress) {
    if (!io.on_progress) return;
    io.on_progress(phase,
                   fmt::format("{} files, {}", progress.entries, FormatBytes(progress.bytes)), -1);
  };
  return operation;
}

Result<std::optional<archive::Exported>> LookInGuest(SupervisorLink& link, const std::string& path,
                                                     const CallIo& io) {
  using What = std::optional<archive::Exported>;
  PipeSink sink(-1);
  PYRO_ASSIGN_OR_RETURN(const CommandEnd looked,
                        RunTransfer(link, {"/bin/sh", "-c", kLook, path}, -1, sink, io));
  const std::string name = Printable(path);
  switch (looked.ExitCode()) {
    case 0:
      return What(archive::Exported::kDirectory);
    case 3:
      return What(archive::Exported::kFile);
    case 5:
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("'{}' in the task is neither a file nor a directory", name));
    case 6:
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("'{}' in the task is a symbolic link that leads nowhere", name));
    default:
      return What();
  }
}

std::vector<std::string> PackCommand(const std::string& path, archive::Exported what) {
  const fs::path full(path);
  const bool directory = what == archive::Exported::kDirectory;
  std::vector<std::string> words = {"tar", "--format=pax", "--sparse", "--numeric-owner"};
  if (!directory) words.push_back("--dereference");
  const std::string from = directory ? path : full.parent_path().native();
  const std::string name = directory ? "." : "./" + full.filename().native();
  words.insert(words.end(), {"-C", from, "-cf", "-", "--", name});
  return words;
}

Result<archive::Summary> StreamIntoGuest(SupervisorLink& link, std::vector<std::string> unpack,
                                         const Packer& pack, std::string_view what,
                                         const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  std::optional<Result<archive::Summary>> packed;
  std::thread packer([&] {
    packed.emplace(pack(pipe.write.get()));
    pipe.write.Reset();
  });
  PipeSink sink(-1);
  auto unpacked = RunTransfer(link, std::move(unpack), pipe.read.get(), sink, io);
  // A packer that is still working notices that its reader is gone.
  pipe.read.Reset();
  packer.join();
  // Its error is the better one, unless it only says that the other side had ended.
  if (!*packed && packed->error().sys_errno != EPIPE) return packed->error();
  if (!unpacked) return std::move(unpacked).error();
  PYRO_RETURN_IF_ERROR(CheckExit(*unpacked, sink, what));
  return *packed ? std::move(**packed) : archive::Summary();
}

Result<std::string> StreamFromGuest(SupervisorLink& link, std::vector<std::string> pack,
                                    const Receiver& receive, const CallIo& io, int names_fd) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  std::optional<Status> received;
  std::thread receiver([&] {
    received.emplace(receive(pipe.read.get()));
    pipe.read.Reset();
  });
  PipeSink sink(pipe.write.get());
  auto sent = RunTransfer(link, std::move(pack), names_fd, sink, io);
  pipe.write.Reset();
  receiver.join();
  if (!sent && sent.error().sys_errno != EPIPE) return std::move(sent).error();
  // Why the guest's tar failed says more than that its archive is broken.
  if (sent && !FilesChanged(*sent, sink)) {
    PYRO_RETURN_IF_ERROR(CheckExit(*sent, sink, "the path could not be read in the guest"));
  }
  if (!*received) return std::move(*received).error();
  if (!sent) return std::move(sent).error();
  return sink.said();
}

Result<std::optional<Seed>> PlanSeed(const TaskOptions& options, const Context& context,
                                     const CallIo& io) {
  if (options.source_path.empty()) {
    if (options.exclude.empty() && !options.git) return std::optional<Seed>();
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} says what of a source is taken, and there is no source",
                                 options.git ? "git" : "exclude"),
                     "give a source path too");
  }
  Seed seed;
  seed.path = options.source_path;
  PYRO_RETURN_IF_ERROR(CheckSource(options.source_path, seed.directory));
  PYRO_ASSIGN_OR_RETURN(seed.selection.exclude, archive::Patterns::Parse(options.exclude));
  seed.selection.without = {context.state, context.cache};
  if (!options.git) return seed;
  if (!seed.directory) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("git sees no archive such as '{}'", Printable(seed.path)),
                     "give a directory");
  }
  if (io.on_progress) io.on_progress("git", "", -1);
  PYRO_ASSIGN_OR_RETURN(seed.selection.git, archive::ListGitFiles(seed.path, io.cancel_fd));
  return seed;
}

Status SeedWorkspace(SupervisorLink& link, const Seed& seed, const CallIo& io) {
  const archive::Operation operation = MakeOperation(io, "seed");
  const auto pack = [&](int to) {
    PYRO_FAILPOINT("task.seed.packing");
    return seed.directory ? archive::WriteTree(seed.path, to, operation, seed.selection)
                          : archive::CopyArchive(seed.path, to, operation, seed.selection.exclude);
  };
  PYRO_ASSIGN_OR_RETURN(const archive::Summary summary,
                        StreamIntoGuest(link, {"/bin/sh", "-c", kUnpack, kWorkspace}, pack,
                                        "the workspace could not be filled", io));
  PYRO_FAILPOINT("task.seed.unpacked");
  if (!io.on_notice) return OkStatus();
  for (const std::string& notice : SeedNotices(summary, seed.path)) io.on_notice(notice);
  return OkStatus();
}

Result<ExportedPath> ExportFromGuest(SupervisorLink& link, const InstanceId& id,
                                     const std::string& path, const std::string& destination,
                                     const ExportOptions& options, const CallIo& io) {
  const std::string from = GuestPath(path);
  PYRO_ASSIGN_OR_RETURN(const archive::Exported what, FindInGuest(link, from, io));
  PYRO_ASSIGN_OR_RETURN(ExportEnd end, ExportEnd::Choose(destination, what, from, options));
  const archive::Operation operation = MakeOperation(io, "export");
  const auto receive = [&](int in) {
    PYRO_FAILPOINT("task.export.receiving");
    return end.Receive(in, operation);
  };
  PYRO_ASSIGN_OR_RETURN(const std::string said,
                        StreamFromGuest(link, PackCommand(from, what), receive, io));
  PYRO_FAILPOINT("task.export.received");
  PYRO_RETURN_IF_ERROR(end.Commit());
  PYRO_FAILPOINT("task.export.in-place");
  NoticeBook notices(io);
  notices.Add(ExportNotices(end.summary(), said));
  return ExportedPath{id.str(),     from,          end.destination(), end.summary().content_bytes,
                      std::nullopt, notices.Take()};
}

}  // namespace pyro::engine
