#include "image/oci/config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxWords = 1024;          // Of each list.
constexpr std::size_t kMaxWord = 32 * 1024;      // Of one text, in bytes.
constexpr std::size_t kMaxWordsBytes = 1 << 18;  // Of all lists: they go to a program's memory.
constexpr std::size_t kMaxUser = 256;
constexpr std::size_t kMaxSignal = 32;
constexpr std::size_t kMaxDirectory = 4095;  // PATH_MAX without its NUL.
constexpr std::size_t kMaxPlatform = 64;

Error BrokenConfig(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss,
                   fmt::format("the image's configuration is broken: {}", what),
                   "ask those who made the image for another one");
}

// nullptr: not there, or null, which Go writes for an empty list.
const Json* Given(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Status CheckText(const char* key, const Json& value, std::size_t limit) {
  if (!value.is_string()) return BrokenConfig(fmt::format("'{}' is no text", key));
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > limit) return BrokenConfig(fmt::format("'{}' is too long", key));
  if (text.find('\0') != std::string::npos) {
    return BrokenConfig(fmt::format("'{}' holds a NUL byte", key));
  }
  return OkStatus();
}

Result<std::string> TextOf(const Json& object, const char* key, std::size_t limit) {
  const Json* value = Given(object, key);
  if (value == nullptr) return std::string();
  PYRO_RETURN_IF_ERROR(CheckText(key, *value, limit));
  return value->get<std::string>();
}

Result<std::vector<std::string>> WordsOf(const Json& object, const char* key, std::size_t& bytes) {
  std::vector<std::string> words;
  const Json* value = Given(object, key);
  if (value == nullptr) return words;
  if (!value->is_array()) return BrokenConfig(fmt::format("'{}' is no list", key));
  if (value->size() > kMaxWords) return BrokenConfig(fmt::format("'{}' is too long", key));
  for (const Json& word : *value) {
    PYRO_RETURN_IF_ERROR(CheckText(key, word, kMaxWord));
    words.push_back(word.get<std::string>());
    bytes += words.back().size();
  }
  if (bytes > kMaxWordsBytes) return BrokenConfig("its variables and words are too long");
  return words;
}

// The last of a name counts, at the place of the first, as in a program's environment.
std::vector<std::string> Variables(std::vector<std::string> given,
                                   std::vector<std::string>& unusable) {
  std::vector<std::string> kept;
  for (std::string& variable : given) {
    const std::size_t name = variable.find('=');
    if (name == std::string::npos || name == 0) {
      unusable.push_back(std::move(variable));
      continue;
    }
    const std::string_view prefix = std::string_view(variable).substr(0, name + 1);
    const auto same = std::find_if(kept.begin(), kept.end(), [prefix](const std::string& one) {
      return one.starts_with(prefix);
    });
    if (same == kept.end()) {
      kept.push_back(std::move(variable));
    } else {
      *same = std::move(variable);
    }
  }
  return kept;
}

Status ReadRunConfig(const Json& object, ImageConfig& config) {
  std::size_t bytes = 0;
  PYRO_ASSIGN_OR_RETURN(auto env, WordsOf(object, "Env", bytes));
  config.env = Variables(std::move(env), config.unusable);
  PYRO_ASSIGN_OR_RETURN(config.entrypoint, WordsOf(object, "Entrypoint", bytes));
  PYRO_ASSIGN_OR_RETURN(config.command, WordsOf(object, "Cmd", bytes));
  PYRO_ASSIGN_OR_RETURN(config.working_dir, TextOf(object, "WorkingDir", kMaxDirectory));
  if (!config.working_dir.empty() && config.working_dir.front() != '/') {
    config.working_dir.insert(0, 1, '/');
  }
  PYRO_ASSIGN_OR_RETURN(config.user, TextOf(object, "User", kMaxUser));
  PYRO_ASSIGN_OR_RETURN(config.stop_signal, TextOf(object, "StopSignal", kMaxSignal));
  return OkStatus();
}

}  // namespace

Result<ImageConfig> ImageConfigFromJson(const Json& json) {
  if (!json.is_object()) return BrokenConfig("it is no object");
  ImageConfig config;
  PYRO_ASSIGN_OR_RETURN(config.architecture, TextOf(json, "architecture", kMaxPlatform));
  PYRO_ASSIGN_OR_RETURN(config.os, TextOf(json, "os", kMaxPlatform));
  if (config.architecture.empty()) return BrokenConfig("it names no architecture");
  if (config.os.empty()) return BrokenConfig("it names no operating system");
  if (const Json* run = Given(json, "config")) {
    if (!run->is_object()) return BrokenConfig("'config' is no object");
    PYRO_RETURN_IF_ERROR(ReadRunConfig(*run, config));
  }
  return config;
}

Result<ImageConfig> ParseImageConfig(std::string_view json) {
  const auto parsed = ParseJson(json, kMaxImageConfigBytes);
  if (!parsed) return BrokenConfig(parsed.error().message);
  return ImageConfigFromJson(*parsed);
}

Json ImageConfigToJson(const ImageConfig& config) {
  return {{"architecture", config.architecture},
          {"os", config.os},
          {"config",
           {{"Env", config.env},
            {"WorkingDir", config.working_dir},
            {"User", config.user},
            {"Entrypoint", config.entrypoint},
            {"Cmd", config.command},
            {"StopSignal", config.stop_signal}}}};
}

Status CheckRunsInGuests(const ImageConfig& config) {
  if (config.os == "linux" && config.architecture == "amd64") return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the image is for {}/{}, and guests are linux/amd64",
                               Printable(config.os, 64), Printable(config.architecture, 64)),
                   "name an image for linux/amd64, or an index that has one");
}

}  // namespace pyro::image
