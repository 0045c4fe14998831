// The global extended headers of a pax archive, which libarchive reads and never applies.

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "archive/tar.h"
#include "pyro/result.h"

namespace pyro::archive {

// Attributes that hold for all entries after them, unless an entry has its own. Not thread-safe.
class PaxGlobals {
 public:
  // `bad` is the code of the errors.
  explicit PaxGlobals(ErrorCode bad) : bad_(bad) {}

  // `headers`: all blocks of one entry, from its first extended header on, after libarchive has
  // taken them; or the blocks before the archive's end mark. Returns the length of the extended
  // headers among them. Fails for a global header that is broken, or that sets what decides how
  // the stream itself is read: a size or a map of holes.
  Result<std::size_t> Read(std::string_view headers);

  // Gives the entry of those headers what the global ones say.
  Status Apply(Entry& entry) const;

  bool empty() const { return global_.empty(); }

 private:
  using Attributes = std::map<std::string, std::string, std::less<>>;

  Status ReadRecords(std::string_view records, Attributes& attributes) const;
  Error Bad(std::string_view why) const;

  const ErrorCode bad_;
  Attributes global_;
  Attributes own_;  // Of the entry read last.
};

}  // namespace pyro::archive
