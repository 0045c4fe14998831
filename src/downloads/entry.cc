#include "downloads/entry.h"

#include <fmt/format.h>

#include "base/fields.h"
#include "base/json.h"
#include "base/try.h"
#include "downloads/sha256.h"
#include "downloads/url.h"

namespace pyro::downloads {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::int64_t kMostSeconds = 366L * 24 * 3600;

constexpr Field kEntryFields[] = {
    Row<Entry, &Entry::key, &EntryKey::url>("url").To(kMaxUrlBytes),
    Row<Entry, &Entry::key, &EntryKey::accept>("accept").To(kMaxEntryText),
    Row<Entry, &Entry::sha256>("sha256").To(kSha256HexBytes),
    Row<Entry, &Entry::size>("size"),
    Row<Entry, &Entry::content_type>("content_type").To(kMaxEntryText),
    Row<Entry, &Entry::etag>("etag").To(kMaxEntryText),
    Row<Entry, &Entry::last_modified>("last_modified").To(kMaxEntryText),
    Row<Entry, &Entry::fetched_at>("fetched_at"),
    Row<Entry, &Entry::checked_at>("checked_at"),
    Row<Entry, &Entry::max_age>("max_age_seconds").To(kMostSeconds),
};

// It goes into a header of a response.
bool IsHeaderValue(std::string_view text) {
  for (const char c : text) {
    if ((c < ' ' && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

std::string EntryKey::Id() const { return Sha256Of(fmt::format("{}\n{}", url, accept)); }

std::string FormatEntry(const Entry& entry) {
  Json json = FieldsToJson(kEntryFields, &entry);
  json["format"] = kFormat;
  return ToJsonLine(json);
}

Result<Entry> ParseEntry(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxEntryBytes));
  PYRO_RETURN_IF_ERROR(GetInt(json, "format", kFormat, kFormat));
  Entry entry;
  PYRO_RETURN_IF_ERROR(ReadFields(kEntryFields, json, &entry));
  const auto url = ParseUrl(entry.key.url);
  if (!url || url->Text() != entry.key.url) return MalformedMessage("the URL of a download");
  if (!IsSha256(entry.sha256)) return MalformedMessage("the digest of a download");
  for (const std::string* value :
       {&entry.key.accept, &entry.content_type, &entry.etag, &entry.last_modified}) {
    if (!IsHeaderValue(*value)) return MalformedMessage("a header of a download");
  }
  return entry;
}

}  // namespace pyro::downloads
