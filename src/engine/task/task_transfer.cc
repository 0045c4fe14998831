#include "engine/task/task_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
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
#include "base/fields.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/requests.h"
#include "engine/task/transfer_notices.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Into a pipe.
class PipeSink : public OutputSink {
 public:
  explicit PipeSink(int fd) : fd_(fd) {}

  int WritableFd(OutputStream) override { return fd_; }

  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR || errno == EAGAIN) return std::size_t{0};
    return sys::ErrnoError(errno, "write");
  }

 private:
  int fd_;
};

// Of a file in memory.
class FileText : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    text_ += bytes;
    return bytes.size();
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Without what is of the call alone: its stdin and its progress.
CallIo Own(const CallIo& io, int stdin_fd) {
  CallIo own;
  own.stdin_fd = stdin_fd;
  own.cancel_fd = io.cancel_fd;
  return own;
}

FileCall CallFor(wire::FileOperation operation, const std::string& path) {
  FileCall call;
  call.request.operation = operation;
  call.request.path = path;
  return call;
}

constexpr std::int64_t kMaxGitConfig = 1 << 20;
constexpr const char* kGitConfig = "/etc/gitconfig";
constexpr std::string_view kGitStat = "[core]\n\ttrustctime = false\n\tcheckStat = minimal\n";

// The inodes and change times of a copied git repository differ from its index: git would read
// every file again and rewrite the index. So this tells git to ignore both.
Status AdaptGit(SupervisorLink& link, const CallIo& io) {
  const auto is = [](const Error& error, int number) { return error.sys_errno == number; };
  const FileCall look = CallFor(wire::FileOperation::kStat, fmt::format("{}/.git", kWorkspace));
  if (auto found = CarryOutInGuest(link, look, nullptr, Own(io, -1)); !found) {
    return is(found.error(), ENOENT) ? OkStatus() : Status(std::move(found).error());
  }
  FileCall read = CallFor(wire::FileOperation::kRead, kGitConfig);
  read.request.limit = kMaxGitConfig;
  FileText config;
  if (auto done = CarryOutInGuest(link, read, &config, Own(io, -1));
      !done && !is(done.error(), ENOENT)) {
    return std::move(done).error();
  }
  std::string lower = config.text();
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool whole = static_cast<std::int64_t>(lower.size()) < kMaxGitConfig;
  if (!whole || lower.find("checkstat") != lower.npos) return OkStatus();
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file,
                        sys::MakeMemoryFile(config.text() + std::string(kGitStat)));
  FileCall write = CallFor(wire::FileOperation::kWrite, kGitConfig);
  write.changes = true;
  auto written = CarryOutInGuest(link, write, nullptr, Own(io, file.get()));
  return written ? OkStatus() : Status(std::move(written).error());
}

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
  FileCall look = CallFor(wire::FileOperation::kStat, path);
  look.request.follow = true;
  auto found = CarryOutInGuest(link, look, nullptr, Own(io, -1));
  const std::string name = Printable(path);
  if (!found) {
    const int number = found.error().sys_errno;
    if (number == ENOENT || number == ENOTDIR) return What();
    if (number != ELOOP) return std::move(found).error();
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("'{}' in the task is a symbolic link that leads nowhere", name));
  }
  if (!found->entry) return MalformedMessage("an operation on files without its entry");
  if (found->entry->kind == FileKind::kDirectory) return What(archive::Exported::kDirectory);
  if (found->entry->kind == FileKind::kFile) return What(archive::Exported::kFile);
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' in the task is neither a file nor a directory", name));
}

FileCall PackCall(const std::string& path) { return CallFor(wire::FileOperation::kPack, path); }

Result<archive::Summary> StreamIntoGuest(SupervisorLink& link, const FileCall& unpack,
                                         const Packer& pack, const CallIo& io, wire::FileEnd* end) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  std::optional<Result<archive::Summary>> packed;
  std::thread packer([&] {
    packed.emplace(pack(pipe.write.get()));
    pipe.write.Reset();
  });
  auto unpacked = CarryOutInGuest(link, unpack, nullptr, Own(io, pipe.read.get()));
  // A packer that is still working notices that its reader is gone.
  pipe.read.Reset();
  packer.join();
  // Its error is the better one, unless it only says that the other side had ended.
  if (!*packed && packed->error().sys_errno != EPIPE) return packed->error();
  if (!unpacked) return std::move(unpacked).error();
  if (end != nullptr) *end = std::move(*unpacked);
  return *packed ? std::move(**packed) : archive::Summary();
}

Result<wire::FileEnd> StreamFromGuest(SupervisorLink& link, const FileCall& pack,
                                      const Receiver& receive, const CallIo& io, int names_fd) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe pipe, sys::MakePipe());
  PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pipe.write.get()));
  std::optional<Status> received;
  std::thread receiver([&] {
    received.emplace(receive(pipe.read.get()));
    pipe.read.Reset();
  });
  PipeSink sink(pipe.write.get());
  auto sent = CarryOutInGuest(link, pack, &sink, Own(io, names_fd));
  pipe.write.Reset();
  receiver.join();
  // Why the guest failed says more than that its tar is broken.
  if (!sent && sent.error().sys_errno != EPIPE) return std::move(sent).error();
  if (!*received) return std::move(*received).error();
  return sent;
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
  FileCall unpack = CallFor(wire::FileOperation::kUnpack, kWorkspace);
  unpack.changes = true;
  PYRO_ASSIGN_OR_RETURN(const archive::Summary summary, StreamIntoGuest(link, unpack, pack, io));
  PYRO_RETURN_IF_ERROR(AdaptGit(link, io));
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
  PYRO_ASSIGN_OR_RETURN(const wire::FileEnd packed,
                        StreamFromGuest(link, PackCall(from), receive, io));
  PYRO_FAILPOINT("task.export.received");
  PYRO_RETURN_IF_ERROR(end.Commit());
  PYRO_FAILPOINT("task.export.in-place");
  NoticeBook notices(io);
  notices.Add(ExportNotices(end.summary(), packed));
  return ExportedPath{id.str(),     from,          end.destination(), end.summary().content_bytes,
                      std::nullopt, notices.Take()};
}

}  // namespace pyro::engine
