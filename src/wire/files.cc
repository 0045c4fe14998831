#include "wire/files.h"

#include <array>
#include <climits>
#include <span>
#include <utility>

#include "base/fields.h"
#include "base/try.h"
#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::wire {
namespace {

constexpr std::array<std::string_view, 13> kOperations = {
    "read", "write", "stat",  "list",  "write_many", "make_directory", "remove",
    "move", "copy",  "watch", "patch", "pack",       "unpack"};
constexpr std::array<std::string_view, 4> kNoteKinds = {"socket", "changed", "unreadable",
                                                        "attributes"};
constexpr std::size_t kLengthBytes = 4;
constexpr std::int64_t kMaxErrno = 4095;  // Linux's own.

constexpr Field kFileRequest[] = {
    Row<FileRequest, &FileRequest::operation>("operation"),
    Row<FileRequest, &FileRequest::path>("path").To(kMaxPathBytes),
    Row<FileRequest, &FileRequest::offset>("offset"),
    Row<FileRequest, &FileRequest::limit>("limit"),
    Row<FileRequest, &FileRequest::mode>("mode").To(07777),
    Row<FileRequest, &FileRequest::depth>("depth").From(1).To(kMaxFileDepth),
    Row<FileRequest, &FileRequest::to>("to").To(kMaxPathBytes),
    Row<FileRequest, &FileRequest::parents>("parents"),
    Row<FileRequest, &FileRequest::recursive>("recursive"),
    Row<FileRequest, &FileRequest::replace>("replace"),
    Row<FileRequest, &FileRequest::strip>("strip").To(kMaxPatchStrip).MayLack(),
    Row<FileRequest, &FileRequest::reverse>("reverse").MayLack(),
    Row<FileRequest, &FileRequest::check>("check").MayLack(),
    Row<FileRequest, &FileRequest::follow>("follow").MayLack(),
    Row<FileRequest, &FileRequest::listed>("listed").MayLack(),
    Row<FileRequest, &FileRequest::xattrs>("xattrs").MayLack(),
    Row<FileRequest, &FileRequest::make>("make").MayLack(),
    Row<FileRequest, &FileRequest::keep>("keep").MayLack(),
    Row<FileRequest, &FileRequest::layer>("layer").MayLack(),
    Row<FileRequest, &FileRequest::durable>("durable").MayLack(),
};
constexpr Field kFileEntry[] = {
    Row<FileEntry, &FileEntry::path>("path").To(kMaxPathBytes),
    Row<FileEntry, &FileEntry::kind>("kind"),
    Row<FileEntry, &FileEntry::bytes>("bytes"),
    Row<FileEntry, &FileEntry::mode>("mode").To(07777),
    Row<FileEntry, &FileEntry::uid>("uid").To(UINT32_MAX),
    Row<FileEntry, &FileEntry::gid>("gid").To(UINT32_MAX),
    Row<FileEntry, &FileEntry::modified_ns>("modified_ns").From(INT64_MIN),
    Row<FileEntry, &FileEntry::target>("target").To(kMaxPathBytes),
};
constexpr Field kFileHeader[] = {
    Row<FileHeader, &FileHeader::path>("path").To(kMaxPathBytes),
    Row<FileHeader, &FileHeader::bytes>("bytes"),
    Row<FileHeader, &FileHeader::mode>("mode").To(07777),
};
constexpr Field kFileNews[] = {
    Row<FileNews, &FileNews::change>("change"),
    Row<FileNews, &FileNews::path>("path").To(kMaxPathBytes),
    Row<FileNews, &FileNews::directory>("directory"),
};
constexpr Field kFileName[] = {
    Row<FileName, &FileName::name>("name").To(kMaxNoteBytes),
};
constexpr Field kFileNote[] = {
    Row<FileNote, &FileNote::kind>("kind"),
    Row<FileNote, &FileNote::count>("count").From(1),
    Row<FileNote, &FileNote::names>("names").To(kMaxNoteNames).Of(kFileName),
};
constexpr Field kFileEnd[] = {
    Row<FileEnd, &FileEnd::error>("error").To(kMaxErrno),
    Row<FileEnd, &FileEnd::path>("path").To(kMaxPathBytes),
    Row<FileEnd, &FileEnd::bytes>("bytes"),
    Row<FileEnd, &FileEnd::file_bytes>("file_bytes"),
    Row<FileEnd, &FileEnd::entries>("entries"),
    Row<FileEnd, &FileEnd::truncated>("truncated"),
    Row<FileEnd, &FileEnd::entry>("entry").Of(kFileEntry),
    Row<FileEnd, &FileEnd::notes>("notes").To(kNoteKinds.size()).Of(kFileNote).MayLack(),
    Row<FileEnd, &FileEnd::code>("code").To(kMaxErrno).MayLack(),
    Row<FileEnd, &FileEnd::message>("message").To(kMaxEndText).MayLack(),
    Row<FileEnd, &FileEnd::hint>("hint").To(kMaxEndText).MayLack(),
};
constexpr Field kFileOffset[] = {
    Row<FileOffset, &FileOffset::hunk>("hunk").From(1),
    Row<FileOffset, &FileOffset::lines>("lines").From(-INT32_MAX).To(INT32_MAX),
};
constexpr Field kFilePatched[] = {
    Row<FilePatched, &FilePatched::path>("path").To(kMaxPathBytes),
    Row<FilePatched, &FilePatched::offsets>("offsets").To(kMaxOffsets).Of(kFileOffset),
};

std::string Record(std::span<const Field> rows, const void* object) {
  const std::string body = ToCbor(FieldsToJson(rows, object));
  std::string record;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    record.push_back(static_cast<char>(body.size() >> (8 * i) & 0xff));
  }
  return record + body;
}

bool HasNulByte(const std::string& text) { return text.find('\0') != std::string::npos; }

Status CheckEntry(const FileEntry& entry) {
  if (!entry.path.empty() && !HasNulByte(entry.path) && !HasNulByte(entry.target)) {
    return OkStatus();
  }
  return MalformedMessage("an entry without a path, or one with a NUL byte");
}

}  // namespace

std::string_view Name(FileOperation operation) {
  const auto index = static_cast<std::size_t>(operation);
  return index < kOperations.size() ? kOperations[index] : std::string_view();
}

std::string_view Name(FileNoteKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kNoteKinds.size() ? kNoteKinds[index] : std::string_view();
}

Json FileRequest::ToJson() const { return FieldsToJson(kFileRequest, this); }

Result<FileRequest> FileRequest::FromJson(const Json& json) {
  FileRequest request;
  PYRO_RETURN_IF_ERROR(ReadFields(kFileRequest, json, &request));
  const bool two =
      request.operation == FileOperation::kMove || request.operation == FileOperation::kCopy;
  if (request.path.empty() || HasNulByte(request.path) || (two && request.to.empty()) ||
      HasNulByte(request.to)) {
    return MalformedMessage("a path is empty or has a NUL byte");
  }
  return request;
}

std::string FileRecord(const FileEntry& entry) { return Record(kFileEntry, &entry); }
std::string FileRecord(const FileEnd& end) { return Record(kFileEnd, &end); }
std::string FileRecord(const FileHeader& header) { return Record(kFileHeader, &header); }
std::string FileRecord(const FileNews& news) { return Record(kFileNews, &news); }
std::string FileRecord(const FilePatched& patched) { return Record(kFilePatched, &patched); }

std::string_view FileRecords::Take(std::size_t most) {
  const std::string_view taken = std::string_view(buffer_).substr(consumed_, most);
  consumed_ += taken.size();
  return taken;
}

Result<std::optional<Json>> FileRecords::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(consumed_);
  if (rest.size() < kLengthBytes) return std::optional<Json>();
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(rest[i])) << (8 * i);
  }
  if (length > kMaxRecordBytes) return MalformedMessage("a record that is too long");
  if (rest.size() - kLengthBytes < length) return std::optional<Json>();
  const std::string_view body = rest.substr(kLengthBytes, length);
  PYRO_ASSIGN_OR_RETURN(
      Json json, ParseCbor({reinterpret_cast<const std::uint8_t*>(body.data()), body.size()}));
  if (!json.is_object()) return MalformedMessage("a record that is no map");
  consumed_ += kLengthBytes + length;
  return std::optional<Json>(std::move(json));
}

Result<FileEntry> ReadFileEntry(const Json& json) {
  FileEntry entry;
  PYRO_RETURN_IF_ERROR(ReadFields(kFileEntry, json, &entry));
  PYRO_RETURN_IF_ERROR(CheckEntry(entry));
  return entry;
}

Result<FileEnd> ReadFileEnd(const Json& json) {
  FileEnd end;
  PYRO_RETURN_IF_ERROR(ReadFields(kFileEnd, json, &end));
  if (HasNulByte(end.path)) return MalformedMessage("a path with a NUL byte");
  if (end.entry) PYRO_RETURN_IF_ERROR(CheckEntry(*end.entry));
  return end;
}

Result<FileHeader> ReadFileHeader(const Json& json) {
  FileHeader header;
  PYRO_RETURN_IF_ERROR(ReadFields(kFileHeader, json, &header));
  if (header.path.empty() || HasNulByte(header.path)) {
    return MalformedMessage("a file without a path, or one with a NUL byte");
  }
  return header;
}

Result<FileNews> ReadFileNews(const Json& json) {
  FileNews news;
  PYRO_RETURN_IF_ERROR(ReadFields(kFileNews, json, &news));
  if (HasNulByte(news.path)) return MalformedMessage("a path with a NUL byte");
  return news;
}

Result<FilePatched> ReadFilePatched(const Json& json) {
  FilePatched patched;
  PYRO_RETURN_IF_ERROR(ReadFields(kFilePatched, json, &patched));
  if (patched.path.empty() || HasNulByte(patched.path)) {
    return MalformedMessage("a patched file without a path, or one with a NUL byte");
  }
  return patched;
}

}  // namespace pyro::wire
