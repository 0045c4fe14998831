// The tools for files of a task: a page of one, what a directory holds, and a whole one.

#include "front/mcp/tools.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/text.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/excerpt.h"
#include "front/mcp/results.h"
#include "mcp/protocol/base64.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::ToolResult;

constexpr std::int64_t kFilePageBytes = 23 * 1024;
constexpr std::size_t kBinaryPageBytes = 16 * 1024;  // Four thirds of it as base64.
constexpr std::int64_t kMaxPageEntries = 1000;
constexpr std::size_t kListedFacts = 60;  // The size of an entry as JSON, without its texts.

struct FileReadArguments : ReadTaskFileRequest {
  std::int64_t depth = 1;
};

struct FileWriteArguments : WriteTaskFileRequest {
  std::string text;
  std::string base64;
  std::string patch;
};

// Without what is rarely wanted: every model reads the list of tools.
constexpr api::Field kFileReadFields[] = {
    api::Inline<FileReadArguments, ReadTaskFileRequest>(), api::Absent("user"),
    api::Absent("limit"),
    api::Row<FileReadArguments, &FileReadArguments::depth>("depth", "Of a directory: levels.")
        .In(1, kMaxFileDepth)};
constexpr api::Field kFileWriteFields[] = {
    api::Inline<FileWriteArguments, WriteTaskFileRequest>(),
    api::Absent("user"),
    api::Absent("mode"),
    api::Row<FileWriteArguments, &FileWriteArguments::text>("text", "Text."),
    api::Row<FileWriteArguments, &FileWriteArguments::base64>("base64", "Or bytes."),
    api::Row<FileWriteArguments, &FileWriteArguments::patch>("patch", "Or a unified diff.")};

class PageSink : public OutputSink {
 public:
  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    page_ += bytes;
    return bytes.size();
  }
  std::string& page() { return page_; }

 private:
  std::string page_;
};

// As ls -F and ls -l have it, without what is rarely wanted.
std::string EntryLine(const TaskFile& entry) {
  const std::string path = Printable(entry.path, 4096);
  switch (entry.kind) {
    case FileKind::kDirectory:
      return path + "/\n";
    case FileKind::kSymlink:
      return fmt::format("{} -> {}\n", path, Printable(entry.target, 4096));
    case FileKind::kFile:
      return fmt::format("{}  {} bytes{}\n", path, entry.bytes,
                         (entry.mode & 0111) != 0 ? ", executable" : "");
    default:
      return fmt::format("{}  {}\n", path, Name(entry.kind));
  }
}

// A page of a directory, from entry `offset` on.
Answer ListDirectory(const Host& host, const FileReadArguments& request, CallReport& report) {
  const std::int64_t end = std::min(request.offset + kMaxPageEntries, kMaxListedFiles);
  if (request.offset >= end) {
    return MakeError(ErrorCode::kLimit,
                     fmt::format("a list of a directory ends with entry {}", kMaxListedFiles),
                     "list a directory that is in it, or ask task_exec with find");
  }
  ListTaskFilesRequest wanted;
  static_cast<TaskPathRequest&>(wanted) = request;
  wanted.depth = request.depth;
  wanted.limit = end;
  PYRO_ASSIGN_OR_RETURN(const TaskFileList list, host.engine.ListTaskFiles(wanted, report.Io()));
  Json entries = Json::array();
  std::string lines;
  std::size_t room = kResultBudget;
  std::int64_t next = request.offset;
  for (; next < std::ssize(list.entries); ++next) {
    const TaskFile& entry = list.entries[static_cast<std::size_t>(next)];
    const std::size_t cost = JsonCost(entry.path) + JsonCost(entry.target) + kListedFacts;
    if (cost > room && !entries.empty()) break;
    room -= std::min(cost, room);
    Json form = {{"path", entry.path}, {"kind", Name(entry.kind)}};
    if (entry.kind == FileKind::kFile) {
      form["bytes"] = entry.bytes;
      form["mode"] = fmt::format("{:04o}", entry.mode);
    }
    if (entry.kind == FileKind::kSymlink) form["target"] = entry.target;
    entries.push_back(std::move(form));
    lines += EntryLine(entry);
  }
  const bool complete = next >= std::ssize(list.entries) && !list.truncated;
  Json form = {{"task_id", list.task_id},
               {"path", list.path},
               {"entries", std::move(entries)},
               {"next_offset", next},
               {"complete", complete}};
  const std::string notes = TellNotices(form, report.Notices());
  ToolResult result = ToolResult::Structured(std::move(form));
  result.content.push_back(mcp::TextContent(
      notes +
      fmt::format("entries {} to {} of {}{}\n", request.offset, next, Printable(list.path, 200),
                  complete ? "; this is the end" : fmt::format("; go on with offset={}", next)) +
      lines));
  return result;
}

// The text without a character at its end that the page has only a part of; empty: it is no text.
std::string_view TextOf(std::string_view page) {
  for (std::size_t cut = 0; cut < 4 && cut < page.size(); ++cut) {
    const std::string_view text = page.substr(0, page.size() - cut);
    if (IsUtf8(text)) return PrefixWithin(text, kResultBudget);
  }
  return "";
}

}  // namespace

Result<File> FileOf(const std::string& text) {
  File file(nullptr, &std::fclose);
  if (text.empty()) return file;
  if (const int fd = ::memfd_create("stdin", MFD_CLOEXEC); fd >= 0) {
    file.reset(::fdopen(fd, "w+"));
    if (file == nullptr) ::close(fd);
  }
  const bool written = file != nullptr &&
                       std::fwrite(text.data(), 1, text.size(), file.get()) == text.size() &&
                       std::fflush(file.get()) == 0;
  if (!written) return MakeError(ErrorCode::kNoSpace, "there is no memory for the text");
  std::rewind(file.get());
  return file;
}

const api::Struct& FileReadRows() {
  static const api::Struct kRows =
      api::Describe<FileReadArguments>("FileReadArguments", "A page.", kFileReadFields);
  return kRows;
}

const api::Struct& FileWriteRows() {
  static const api::Struct kRows =
      api::Describe<FileWriteArguments>("FileWriteArguments", "A file.", kFileWriteFields);
  return kRows;
}

Answer ReadFile(const Host& host, CallContext& call, const Json& arguments) {
  FileReadArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(FileReadRows(), arguments, &request));
  request.limit = kFilePageBytes;
  CallReport report(call, 0, "reading the file");
  PageSink sink;
  CallIo io = report.Io();
  io.sink = &sink;
  const auto found = host.engine.ReadTaskFile(request, io);
  if (!found && found.error().code == ErrorCode::kIsDirectory) {
    return ListDirectory(host, request, report);
  }
  if (!found) return found.error();
  const TaskFileRead& read = *found;
  const std::string_view page = sink.page();
  const std::string_view text = TextOf(page);
  const std::string_view given =
      text.empty() ? page.substr(0, std::min(page.size(), kBinaryPageBytes)) : text;
  const auto next = static_cast<std::uint64_t>(request.offset) + given.size();
  // The size of a file of /proc is told as 0, and another may grow.
  const bool complete =
      next == read.file_bytes || (given.size() == page.size() && std::ssize(page) < request.limit);
  Json form = {{"task_id", read.task_id},
               {"path", read.path},
               {"file_bytes", read.file_bytes},
               {"next_offset", next},
               {"complete", complete}};
  const bool binary = text.empty() && !page.empty();
  form[binary ? "base64" : "text"] = binary ? mcp::EncodeBase64(given) : std::string(given);
  std::string told = TellNotices(form, report.Notices());
  ToolResult result = ToolResult::Structured(std::move(form));
  told += fmt::format("bytes {} to {} of {} of {}{}{}\n", request.offset, next, read.file_bytes,
                      Printable(read.path, 200), binary ? ", as base64" : "",
                      complete ? "; this is the end" : fmt::format("; go on with offset={}", next));
  told += binary ? (*result.structured)["base64"].get<std::string>() : std::string(given);
  result.content.push_back(mcp::TextContent(told));
  return result;
}

// All of it or nothing. The path is the directory that its names count from.
Answer ApplyPatch(const Host& host, CallContext& call, const FileWriteArguments& request) {
  PatchTaskRequest patch;
  patch.task_id = request.task_id;
  patch.directory = request.path;
  CallReport report(call, 0, "applying the patch");
  PYRO_ASSIGN_OR_RETURN(const File input, FileOf(request.patch));
  CallIo io = report.Io();
  io.stdin_fd = ::fileno(input.get());
  auto applied = host.engine.PatchTask(patch, io);
  if (!applied && applied.error().code == ErrorCode::kNotDirectory) {
    Error error = std::move(applied).error();
    error.hint = "with a patch, path is the directory that its names count from, such as .";
    return error;
  }
  if (!applied) return std::move(applied).error();
  return ValueResult(ToJson(*applied));
}

Answer WriteFile(const Host& host, CallContext& call, const Json& arguments) {
  FileWriteArguments request;
  PYRO_RETURN_IF_ERROR(ReadArguments(FileWriteRows(), arguments, &request));
  const std::size_t given =
      arguments.count("text") + arguments.count("base64") + arguments.count("patch");
  if (given != 1) {
    return MakeError(ErrorCode::kInvalidArgument, "exactly one of text, base64 and patch is needed",
                     "give the file's whole content; an empty text makes an empty file");
  }
  if (!request.patch.empty()) return ApplyPatch(host, call, request);
  auto bytes = request.base64.empty() ? std::optional(std::move(request.text))
                                      : mcp::DecodeBase64(request.base64);
  if (!bytes) {
    return MakeError(ErrorCode::kInvalidArgument, "base64 is not valid",
                     "encode the bytes again, with padding and without line breaks");
  }
  CallReport report(call, 0, "writing the file");
  PYRO_ASSIGN_OR_RETURN(const File input, FileOf(*bytes));
  CallIo io = report.Io();
  if (input != nullptr) io.stdin_fd = ::fileno(input.get());
  PYRO_ASSIGN_OR_RETURN(const TaskFileInfo written, host.engine.WriteTaskFile(request, io));
  return ValueResult(ToJson(written));
}

}  // namespace pyro::mcp_server
