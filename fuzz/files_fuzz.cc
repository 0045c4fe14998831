// Operations on files, as bytes from either hostile side: the agent's request, and the entries and
// ends that a client takes from a guest.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "wire/files.h"
#include "wire/messages.h"

namespace {

using namespace pyro;

bool IsPath(const std::string& path) {
  return path.size() <= wire::kMaxPathBytes && path.find('\0') == std::string::npos;
}

Json Again(const std::string& record) {
  wire::FileRecords records;
  records.Append(record);
  auto json = records.Next();
  PYRO_CHECK(json.ok() && json->has_value() && records.empty());
  return std::move(**json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto json = ParseCbor({data, size}); json.ok()) {
    const auto request = wire::FileRequest::FromJson(*json);
    if (request) {
      PYRO_CHECK(IsPath(request->path) && !request->path.empty());
      PYRO_CHECK(request->offset >= 0 && request->limit >= 0);
      PYRO_CHECK(wire::FileRequest::FromJson(request->ToJson()).ok());
    }
  }
  wire::FileRecords records;
  // In two pieces: a record may be cut anywhere.
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  records.Append(bytes.substr(0, size / 2));
  bool second = false;
  while (true) {
    const auto json = records.Next();
    if (!json) return 0;
    if (!*json) {
      if (second) return 0;
      second = true;
      records.Append(bytes.substr(size / 2));
      continue;
    }
    if (const auto entry = wire::ReadFileEntry(**json); entry.ok()) {
      PYRO_CHECK(IsPath(entry->path) && IsPath(entry->target));
      PYRO_CHECK(wire::ReadFileEntry(Again(wire::FileRecord(*entry))).ok());
    }
    if (const auto header = wire::ReadFileHeader(**json); header.ok()) {
      PYRO_CHECK(IsPath(header->path) && header->bytes >= 0);
      PYRO_CHECK(wire::ReadFileHeader(Again(wire::FileRecord(*header))).ok());
    }
    if (const auto news = wire::ReadFileNews(**json); news.ok()) {
      PYRO_CHECK(IsPath(news->path));
      PYRO_CHECK(wire::ReadFileNews(Again(wire::FileRecord(*news))).ok());
    }
    if (const auto patched = wire::ReadFilePatched(**json); patched.ok()) {
      PYRO_CHECK(IsPath(patched->path) && patched->offsets.size() <= wire::kMaxOffsets);
      PYRO_CHECK(wire::ReadFilePatched(Again(wire::FileRecord(*patched))).ok());
    }
    if (const auto end = wire::ReadFileEnd(**json); end.ok()) {
      PYRO_CHECK(IsPath(end->path) && end->bytes >= 0);
      PYRO_CHECK(wire::ReadFileEnd(Again(wire::FileRecord(*end))).ok());
    }
  }
}
