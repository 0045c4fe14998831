// The user's configuration file: what counts for calls that do not say it themselves.
//
//   # Text after a # is for people, and is kept.
//   machine = tcg
//
// A file that cannot be understood as a whole is not used in part: every line must be a setting,
// and none may be there twice.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro::engine {

inline constexpr std::size_t kMaxSettingsBytes = 16 * 1024;

inline constexpr std::string_view kWithoutKvm = "machine.without_kvm";
inline constexpr std::string_view kCacheSize = "cache.size";
inline constexpr std::string_view kLimitGuests = "limit.guests";
inline constexpr std::string_view kLimitGuestMemory = "limit.guest_memory";
inline constexpr std::string_view kLimitTasks = "limit.tasks";
inline constexpr std::string_view kLimitDisk = "limit.disk";
inline constexpr std::string_view kLimitFreeDisk = "limit.free_disk";
inline constexpr std::string_view kLimitHostMemory = "limit.host_memory";

class Settings {
 public:
  // kInvalidArgument, naming the line: too long, no setting, unknown, there twice, or with a value
  // that it cannot have.
  static Result<Settings> Parse(std::string_view text);
  std::string Format() const;

  // All that there are, in the order of documents.
  std::vector<Setting> List() const;
  // kInvalidArgument: there is no setting of that name; the hint has the nearest one.
  Result<Setting> Get(std::string_view name) const;
  // The same, and: it cannot have that value.
  Status Set(std::string_view name, std::string_view value);
  Status Unset(std::string_view name);

  // Empty: it is not set.
  std::string_view ValueOf(std::string_view name) const;
  // Of one that may be a number; nullopt: it is not set, or a word.
  std::optional<std::int64_t> NumberOf(std::string_view name) const;

 private:
  Status Add(std::string_view line);

  struct Line {
    std::string text;
    std::string name;  // Empty: for people only.
    std::string value;
  };
  std::vector<Line> lines_;
};

// Without a file there are no settings. kInvalidArgument also: others than this user and root may
// write the file.
Result<Settings> ReadSettings(const std::filesystem::path& file);
// Reads, changes and writes the file. Of processes that do so at once, one goes after the other.
// The errors of ReadSettings() and of `change`; kNotFound: `file` is empty; kTimedOut: another
// process holds its lock.
Result<Settings> ChangeSettings(const std::filesystem::path& file,
                                const std::function<Status(Settings&)>& change);

}  // namespace pyro::engine
