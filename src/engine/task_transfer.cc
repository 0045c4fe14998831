#include "engine/task_transfer.h"

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
#include "archive/pack.h"
#include "base/head_tail.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/command_relay.h"
#include "engine/context.h"
#include "engine/requests.h"
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

  std::string errors() const { return Printable(TrimSpace(errors_.Text()), 1000); }

 private:
  int fd_;
  HeadTail errors_{1024, 1024};
};

wire::Exec TransferCommand(std::vector<std::string> argv) {
  wire::Exec exec;
  exec.argv = std::move(argv);
  exec.cwd = kWorkspace;
  exec.sync = true;
  return exec;
}

CallIo TransferIo(const CallIo& io, int stdin_fd) {
  CallIo own;
  own.stdin_fd = stdin_fd;
  own.cancel_fd = io.cancel_fd;
  return own;
}

Status CheckExit(const RelayResult& relayed, const PipeSink& sink, std::string_view what) {
  if (relayed.exited.outcome.ExitCode() == 0) return OkStatus();
  const bool full = sink.errors().find("No space left") != std::string::npos;
  return MakeError(full ? ErrorCode::kNoSpace : ErrorCode::kGuestUnavailable,
                   fmt::format("{}: {}", what, sink.errors()),
                   full ? "give the task a larger --disk-mib" : "");
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

// Into $0. The inodes and change times of a copied git repository differ from its index: git would
// read every file again and rewrite the index. So this tells git to ignore both.
constexpr char kUnpack[] =
    "tar --warning=no-unknown-keyword --numeric-owner -xpf - -C \"$0\" || exit; "
    "[ -e \"$0/.git\" ] && [ ! -e /etc/gitconfig ] || exit 0; "
    "printf '[core]\\n\\ttrustctime = false\\n\\tcheckStat = minimal\\n' > /etc/gitconfig";

// An absolute path without a trailing slash, as seen in the guest.
std::string GuestPath(const std::string& path) {
  fs::path full = fs::path(kWorkspace) / path;
  std::string text = full.lexically_normal().native();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

Result<bool> IsDirectory(SupervisorLink& link, const std::string& path, const CallIo& io) {
  PipeSink sink(-1);
  bool began = false;
  PYRO_ASSIGN_OR_RETURN(
      const RelayResult relayed,
      RelayCommand(
          link,
          TransferCommand(
              {"/bin/sh", "-c", "[ -d \"$0\" ] && exit 0; [ -f \"$0\" ] && exit 3; exit 4", path}),
          sink, TransferIo(io, -1), began));
  switch (relayed.exited.outcome.ExitCode()) {
    case 0:
      return true;
    case 3:
      return false;
    default:
      return MakeError(ErrorCode::kNotFound,
                       fmt::format("the task has no file or directory '{}'", Printable(path)),
                       "relative paths begin at /workspace");
  }
}

std::vector<std::string> PackCommand(const std::string& path, bool directory) {
  const fs::path full(path);
  const std::string from = directory ? path : full.parent_path().native();
  const std::string what = directory ? "." : "./" + full.filename().native();
  return {"tar", "--format=pax", "--sparse", "--numeric-owner", "-C", from, "-cf", "-", "--", what};
}

}  // namespace

Status CheckSource(const std::string& source_path) {
  std::error_code error;
  const fs::file_status status = fs::status(source_path, error);
  if (!fs::exists(status)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no file or directory '{}'", Printable(source_path)));
  }
  if (fs::is_directory(status)) return OkStatus();
  if (fs::is_regular_file(status) && archive::HasArchiveName(source_path)) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is neither a directory nor a .tar, .tar.gz or .tgz file",
                               Printable(source_path)));
}

Status SeedWorkspace(SupervisorLink& link, const std::string& source_path, const Context& context,
                     const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  const archive::Operation operation = MakeOperation(io, "seed");
  std::optional<Result<archive::Summary>> packed;
  std::thread packer([&] {
    std::error_code error;
    PYRO_FAILPOINT("task.seed.packing");
    packed.emplace(fs::is_directory(source_path, error)
                       ? archive::WriteTree(source_path, pipe.write.get(), operation,
                                            {context.state, context.cache})
                       : archive::CopyArchive(source_path, pipe.write.get(), operation));
    pipe.write.Reset();
  });
  PipeSink sink(-1);
  bool began = false;
  auto relayed = RelayCommand(link, TransferCommand({"/bin/sh", "-c", kUnpack, kWorkspace}), sink,
                              TransferIo(io, pipe.read.get()), began);
  // A packer that is still working notices that its reader is gone.
  pipe.read.Reset();
  packer.join();
  PYRO_FAILPOINT("task.seed.unpacked");
  // Its error is the better one, unless it only says that the other side had ended.
  if (!*packed && packed->error().sys_errno != EPIPE) return packed->error();
  if (!relayed) return std::move(relayed).error();
  return CheckExit(*relayed, sink, "the workspace could not be filled");
}

Result<ExportedPath> ExportFromGuest(SupervisorLink& link, const TaskId& id,
                                     const std::string& path, const std::string& destination,
                                     const CallIo& io) {
  const std::string from = GuestPath(path);
  const fs::path dest = fs::absolute(destination).lexically_normal();
  PYRO_ASSIGN_OR_RETURN(const bool directory, IsDirectory(link, from, io));
  const archive::ExportKind kind = dest.extension() == ".tar" ? archive::ExportKind::kTar
                                   : directory                ? archive::ExportKind::kDirectory
                                                              : archive::ExportKind::kFile;
  PYRO_RETURN_IF_ERROR(archive::CheckDestination(dest, kind));
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  const archive::Operation operation = MakeOperation(io, "export");
  std::optional<Result<archive::Staged>> received;
  std::thread receiver([&] {
    PYRO_FAILPOINT("task.export.receiving");
    received.emplace(archive::Receive(pipe.read.get(), dest, kind, operation));
    pipe.read.Reset();
  });
  PipeSink sink(pipe.write.get());
  bool began = false;
  auto relayed = RelayCommand(link, TransferCommand(PackCommand(from, directory)), sink,
                              TransferIo(io, -1), began);
  pipe.write.Reset();
  receiver.join();
  if (!relayed && relayed.error().sys_errno != EPIPE) return std::move(relayed).error();
  if (!*received) return std::move(*received).error();
  if (!relayed) return std::move(relayed).error();
  PYRO_RETURN_IF_ERROR(CheckExit(*relayed, sink, "the path could not be read in the guest"));
  PYRO_FAILPOINT("task.export.received");
  PYRO_RETURN_IF_ERROR((*received)->Commit());
  PYRO_FAILPOINT("task.export.in-place");
  return ExportedPath{id.str(), from, dest.native(), (*received)->summary().content_bytes};
}

}  // namespace pyro::engine
