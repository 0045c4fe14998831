// What the cache knows of one URL: a file of the index. Pure.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro::downloads {

inline constexpr std::size_t kMaxEntryBytes = 16 * 1024;
inline constexpr std::size_t kMaxEntryText = 1024;  // Of a header's value.

// What was asked for. Two forms of one URL, as an index in HTML and in JSON, are two things.
struct EntryKey {
  std::string url;     // Url::Text() of the source.
  std::string accept;  // The Accept header of the question to the source.

  // The name of its file: 64 hexadecimal digits.
  std::string Id() const;
  friend bool operator==(const EntryKey&, const EntryKey&) = default;
};

struct Entry {
  EntryKey key;
  std::string sha256;  // Of the content, in hexadecimal digits.
  std::uint64_t size = 0;
  std::string content_type;  // This and the next two are empty if the source did not say.
  std::string etag;
  std::string last_modified;
  WallTime fetched_at;
  WallTime checked_at;              // When the source last said that it is still so.
  std::chrono::seconds max_age{0};  // From then on it need not be asked.

  friend bool operator==(const Entry&, const Entry&) = default;
};

std::string FormatEntry(const Entry& entry);

// kProtocol: it is none, or breaks a limit.
Result<Entry> ParseEntry(std::string_view text);

}  // namespace pyro::downloads
