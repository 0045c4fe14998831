#include "engine/settings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/nearest.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/context.h"
#include "engine/local_engine.h"
#include "state/own_directory.h"
#include "state/quota.h"
#include "sys/errno_error.h"
#include "sys/file_lock.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

constexpr std::chrono::seconds kLockLimit{10};

struct Known {
  std::string_view name;
  std::string_view values;  // With | between; the first counts while it is not set.
  std::string_view sentence;
  std::int64_t least = 0;  // Of a number that it may be, too.
  std::int64_t most = 0;   // 0: it may be none.
};

constexpr std::array kKnown = {
    Known{"machine", "auto|kvm|tcg|usermode", "What runs a guest whose call names no machine"},
    Known{kWithoutKvm, "tcg|usermode", "What auto comes to where KVM does not work"},
    Known{kCacheSize, "8G|1G|2G|4G|16G|32G|64G|128G",
          "How large the downloads of --cache may become"},
    Known{kLimitGuests, "none", "The guests that may run at once", 1, state::kMaxGuests},
    Known{kLimitGuestMemory, "none", "The memory of all guests that run, in MiB", 64,
          state::kMaxLimitMib},
    Known{kLimitTasks, "none", "The tasks that there may be", 1, state::kMaxTasks},
    Known{kLimitDisk, "none", "The disk that all of pyro may take, in MiB", 1, state::kMaxLimitMib},
    Known{kLimitFreeDisk, "auto", "The disk that must stay free for pyro to begin anything, in MiB",
          0, state::kMaxLimitMib},
    Known{kLimitHostMemory, "auto",
          "The memory of this host that must be available when a guest starts, in MiB", 0,
          state::kMaxLimitMib},
};

std::vector<std::string> ValuesOf(const Known& known) {
  const std::vector<std::string_view> words = Split(known.values, '|');
  std::vector<std::string> values(words.begin(), words.end());
  if (known.most > 0) values.push_back(fmt::format("{}..{}", known.least, known.most));
  return values;
}

std::vector<std::string> NamesOfKnown() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

Error NoSuch(std::string_view what, std::string_view word, const std::vector<std::string>& all) {
  const auto near = Nearest(word, all);
  return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} '{}'", what, Printable(word, 64)),
                   near ? fmt::format("did you mean '{}'?", *near)
                        : fmt::format("give one of {}", fmt::join(all, ", ")));
}

Result<const Known*> FindKnown(std::string_view name) {
  const auto* const found = std::find_if(kKnown.begin(), kKnown.end(),
                                         [&](const Known& one) { return one.name == name; });
  if (found == kKnown.end()) return NoSuch("there is no setting", name, NamesOfKnown());
  return found;
}

Status CheckValue(const Known& known, std::string_view value) {
  const std::vector<std::string> values = ValuesOf(known);
  if (known.most > 0) {
    const auto number = ParseInt(value);
    if (number && *number >= known.least && *number <= known.most) return OkStatus();
    if (value == known.values) return OkStatus();
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} cannot be '{}'", known.name, Printable(value, 64)),
        fmt::format("give '{}', or a number from {} to {}", known.values, known.least, known.most));
  }
  if (std::find(values.begin(), values.end(), value) != values.end()) return OkStatus();
  return NoSuch(fmt::format("{} cannot be", known.name), value, values);
}

Setting DescribeSetting(const Known& known, std::string_view value) {
  Setting setting;
  setting.name = known.name;
  setting.value = value;
  setting.values = ValuesOf(known);
  setting.usual = setting.values.front();
  setting.sentence = known.sentence;
  return setting;
}

// Other users must not decide how thick the wall around this user's guests is.
Status CheckOwner(int fd, const std::filesystem::path& file) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return sys::ErrnoError(errno, "stat", file.native());
  if (!S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is no regular file", Printable(file.native())),
                     "remove it, or set PYRO_CONFIG_DIR");
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is not used: it belongs to another user", Printable(file.native())),
        "call pyro as that user, or set PYRO_CONFIG_DIR to a directory of your own");
  }
  if (!state::OthersMayWrite(file, info)) return OkStatus();
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("{} is not used: other users may write it", Printable(file.native())),
      fmt::format("look at its content, then: chmod go-w {}", Printable(file.native())));
}

}  // namespace

Result<Settings> Settings::Parse(std::string_view text) {
  if (text.size() > kMaxSettingsBytes) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("it is longer than {} bytes", kMaxSettingsBytes));
  }
  Settings settings;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return settings;
  for (const std::string_view line : Split(text, '\n')) {
    if (Status added = settings.Add(line); !added) {
      Error error = std::move(added).error();
      error.message = fmt::format("line {}: {}", settings.lines_.size() + 1, error.message);
      return error;
    }
  }
  return settings;
}

Status Settings::Add(std::string_view text) {
  Line line{.text = std::string(text), .name = "", .value = ""};
  const std::string_view said = TrimSpace(text.substr(0, text.find('#')));
  if (!said.empty()) {
    const std::size_t middle = said.find('=');
    if (middle == std::string_view::npos) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("'{}' is no setting", Printable(said, 64)),
                       "write it as: NAME = VALUE");
    }
    line.name = TrimSpace(said.substr(0, middle));
    line.value = TrimSpace(said.substr(middle + 1));
    PYRO_ASSIGN_OR_RETURN(const Known* known, FindKnown(line.name));
    PYRO_RETURN_IF_ERROR(CheckValue(*known, line.value));
    if (!ValueOf(line.name).empty()) {
      return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is there twice", line.name),
                       "remove one of the two lines");
    }
  }
  lines_.push_back(std::move(line));
  return OkStatus();
}

std::string Settings::Format() const {
  std::string text;
  for (const Line& line : lines_) text += line.text + '\n';
  return text;
}

std::vector<Setting> Settings::List() const {
  std::vector<Setting> list;
  for (const Known& known : kKnown) list.push_back(DescribeSetting(known, ValueOf(known.name)));
  return list;
}

Result<Setting> Settings::Get(std::string_view name) const {
  PYRO_ASSIGN_OR_RETURN(const Known* known, FindKnown(name));
  return DescribeSetting(*known, ValueOf(name));
}

Status Settings::Set(std::string_view name, std::string_view value) {
  PYRO_ASSIGN_OR_RETURN(const Known* known, FindKnown(name));
  PYRO_RETURN_IF_ERROR(CheckValue(*known, value));
  Line line{.text = fmt::format("{} = {}", name, value),
            .name = std::string(name),
            .value = std::string(value)};
  const auto found =
      std::find_if(lines_.begin(), lines_.end(), [&](const Line& one) { return one.name == name; });
  if (found == lines_.end()) {
    lines_.push_back(std::move(line));
  } else {
    *found = std::move(line);
  }
  return OkStatus();
}

Status Settings::Unset(std::string_view name) {
  PYRO_RETURN_IF_ERROR(FindKnown(name));
  std::erase_if(lines_, [&](const Line& line) { return line.name == name; });
  return OkStatus();
}

std::string_view Settings::ValueOf(std::string_view name) const {
  const auto found =
      std::find_if(lines_.begin(), lines_.end(), [&](const Line& one) { return one.name == name; });
  return found == lines_.end() ? std::string_view() : found->value;
}

std::optional<std::int64_t> Settings::NumberOf(std::string_view name) const {
  const auto number = ParseInt(ValueOf(name));
  if (!number) return std::nullopt;
  return *number;
}

Result<Settings> ReadSettings(const std::filesystem::path& file) {
  if (file.empty()) return Settings();
  auto opened = sys::OpenFile(file, O_RDONLY | O_NONBLOCK);
  if (!opened && opened.error().code == ErrorCode::kNotFound) return Settings();
  if (!opened) return std::move(opened).error();
  PYRO_RETURN_IF_ERROR(CheckOwner(opened->get(), file));
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadAll(opened->get(), kMaxSettingsBytes));
  auto settings = Settings::Parse(text);
  if (settings) return settings;
  Error error = std::move(settings).error();
  error.message = fmt::format("{}: {}", Printable(file.native()), error.message);
  return error;
}

Result<Settings> ChangeSettings(const std::filesystem::path& file,
                                const std::function<Status(Settings&)>& change) {
  if (file.empty()) {
    return MakeError(ErrorCode::kNotFound, "there is no home directory for a configuration file",
                     "set PYRO_CONFIG_DIR to an absolute path");
  }
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(file.parent_path()));
  PYRO_ASSIGN_OR_RETURN(
      const sys::FileLock lock,
      sys::FileLock::Acquire(file.native() + ".lock", Deadline::After(kLockLimit)));
  PYRO_ASSIGN_OR_RETURN(Settings settings, ReadSettings(file));
  PYRO_RETURN_IF_ERROR(change(settings));
  // A link that the user made stays one.
  std::error_code failed;
  const std::filesystem::path target = std::filesystem::weakly_canonical(file, failed);
  PYRO_RETURN_IF_ERROR(sys::WriteFileAtomically(failed ? file : target, settings.Format()));
  return settings;
}

Result<SettingList> LocalEngine::ListSettings() {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context_.configuration));
  return SettingList{context_.configuration, settings.List()};
}

Result<Setting> LocalEngine::GetSetting(const std::string& name) {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context_.configuration));
  return settings.Get(name);
}

Result<Setting> LocalEngine::SetSetting(const std::string& name, const std::string& value) {
  PYRO_RETURN_IF_ERROR(Settings().Set(name, value));  // A mistake makes no file.
  PYRO_ASSIGN_OR_RETURN(const Settings settings,
                        ChangeSettings(context_.configuration, [&](Settings& changed) {
                          return changed.Set(name, value);
                        }));
  return settings.Get(name);
}

Result<Setting> LocalEngine::UnsetSetting(const std::string& name) {
  PYRO_ASSIGN_OR_RETURN(Settings settings, ReadSettings(context_.configuration));
  if (settings.ValueOf(name).empty()) return settings.Get(name);
  PYRO_ASSIGN_OR_RETURN(settings, ChangeSettings(context_.configuration, [&](Settings& changed) {
                          return changed.Unset(name);
                        }));
  return settings.Get(name);
}

}  // namespace pyro::engine
