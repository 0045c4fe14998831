#include "wire/trees.h"

#include <charconv>
#include <climits>
#include <utility>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::wire {
namespace {

constexpr std::string_view kStepNames = "pdr";  // In the order of TreeStep::What.

// Cuts the text up to the separator off; nullopt: there is none.
std::optional<std::string_view> CutOff(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

template <typename T>
bool ReadNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool IsPathBelow(std::string_view path) {
  if (path.empty()) return false;
  for (const std::string_view name : Split(path, '/')) {
    if (name.empty() || name == "." || name == "..") return false;
  }
  return true;
}

bool ReadStat(std::string_view text, TreeEntry& entry) {
  const auto words = Split(text, ' ');
  if (words.size() != 6 || words[0].size() != 1) return false;
  entry.type = words[0][0];
  if (std::string_view("fdlo").find(entry.type) == std::string_view::npos) return false;
  return ReadNumber(words[1], entry.mode) && entry.mode >= 0 && entry.mode <= 07777 &&
         ReadNumber(words[2], entry.size) && entry.size >= 0 && ReadNumber(words[3], entry.mtime) &&
         ReadNumber(words[4], entry.ctime) && ReadNumber(words[5], entry.inode);
}

}  // namespace

std::string_view TypeName(char type) {
  switch (type) {
    case 'f':
      return "file";
    case 'd':
      return "directory";
    case 'l':
      return "symlink";
    default:
      return "other";
  }
}

Result<Tree> ReadTree(std::string_view text) {
  Tree tree;
  while (!text.empty()) {
    const auto stat = CutOff(text, '\0');
    const auto path = stat ? CutOff(text, '\0') : std::nullopt;
    const auto target = path ? CutOff(text, '\0') : std::nullopt;
    TreeEntry entry;
    if (!target || target->size() >= PATH_MAX || !ReadStat(*stat, entry) || !IsPathBelow(*path)) {
      return MalformedMessage("a list of files");
    }
    // What is above it was told, and is a directory: what leaves that one out leaves this one out.
    const std::size_t slash = path->rfind('/');
    const auto above = slash == path->npos ? tree.end() : tree.find(path->substr(0, slash));
    if (slash != path->npos && (above == tree.end() || above->second.type != 'd')) {
      return MalformedMessage("a list of files");
    }
    entry.target = *target;
    if (tree.size() >= kMaxTreeEntries) {
      return MakeError(ErrorCode::kLimit, "the workspace has more than a million files");
    }
    const auto [place, fresh] = tree.try_emplace(std::string(*path));
    if (!fresh && place->second.type != entry.type) return MalformedMessage("a list of files");
    place->second = std::move(entry);
  }
  return tree;
}

Result<std::vector<std::optional<std::string>>> ReadContents(std::string_view text,
                                                             std::size_t count) {
  std::vector<std::optional<std::string>> contents;
  for (std::size_t i = 0; i < count; ++i) {
    const auto line = CutOff(text, '\n');
    std::size_t size = 0;
    if (!line) return MalformedMessage("the content of files");
    if (*line == "-") {
      contents.emplace_back();
      continue;
    }
    if (!ReadNumber(*line, size) || size > kMaxShownFile || size > text.size()) {
      return MalformedMessage("the content of files");
    }
    contents.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  if (!text.empty()) return MalformedMessage("the content of files");
  return contents;
}

Result<std::vector<std::optional<std::uint64_t>>> ReadDigests(std::string_view text,
                                                              std::size_t count) {
  std::vector<std::optional<std::uint64_t>> digests;
  for (std::size_t i = 0; i < count; ++i) {
    const auto line = CutOff(text, '\n');
    std::uint64_t digest = 0;
    if (!line || (*line != "-" && !ReadNumber(*line, digest))) {
      return MalformedMessage("the digests of files");
    }
    digests.push_back(*line == "-" ? std::nullopt : std::optional(digest));
  }
  if (!text.empty()) return MalformedMessage("the digests of files");
  return digests;
}

std::string WriteSteps(const std::vector<TreeStep>& steps) {
  std::string text;
  for (const TreeStep& step : steps) {
    text += fmt::format("{} {} {} {}", kStepNames[static_cast<std::size_t>(step.what)], step.mode,
                        step.inode, step.ctime);
    text += '\0';
    text += step.path;
    text += '\0';
  }
  return text;
}

Result<std::vector<TreeStep>> ReadSteps(std::string_view text) {
  std::vector<TreeStep> steps;
  while (!text.empty()) {
    const auto head = CutOff(text, '\0');
    const auto path = head ? CutOff(text, '\0') : std::nullopt;
    if (!path || !IsPathBelow(*path)) return MalformedMessage("steps of a sync");
    const auto words = Split(*head, ' ');
    TreeStep step;
    const std::size_t what =
        words.size() == 4 && words[0].size() == 1 ? kStepNames.find(words[0][0]) : kStepNames.npos;
    if (what == kStepNames.npos || !ReadNumber(words[1], step.mode) || step.mode < 0 ||
        step.mode > 0777 || !ReadNumber(words[2], step.inode) ||
        !ReadNumber(words[3], step.ctime)) {
      return MalformedMessage("steps of a sync");
    }
    step.what = static_cast<TreeStep::What>(what);
    step.path = *path;
    steps.push_back(std::move(step));
  }
  return steps;
}

std::string WriteRefusals(const std::vector<RefusedStep>& refused) {
  std::string text;
  for (const RefusedStep& one : refused) {
    text += fmt::format("{} {}\n", one.step, static_cast<int>(one.why));
  }
  return text;
}

Result<std::vector<RefusedStep>> ReadRefusals(std::string_view text, std::size_t steps) {
  std::vector<RefusedStep> refused;
  std::size_t next = 0;  // Each step at most once.
  while (!text.empty()) {
    const auto line = CutOff(text, '\n');
    const auto words = Split(line.value_or(""), ' ');
    RefusedStep one;
    int why = 0;
    if (!line || words.size() != 2 || !ReadNumber(words[0], one.step) ||
        !ReadNumber(words[1], why) || one.step < next || one.step >= steps || why < 0 ||
        why >= kStepRefusals) {
      return MalformedMessage("the end of a sync");
    }
    one.why = static_cast<StepRefusal>(why);
    next = one.step + 1;
    refused.push_back(one);
  }
  return refused;
}

}  // namespace pyro::wire
