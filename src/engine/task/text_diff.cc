#include "engine/task/text_diff.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <dtl/dtl.hpp>

#include "base/unified_diff.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kContext = 3;
// The comparison takes time and room with the square of the lines that differ.
constexpr std::size_t kMostCompared = 4000;

struct Edit {
  char sign;  // ' ', '-' or '+'
  std::string_view line;
};

// Of the parts between an equal begin and an equal end.
std::vector<Edit> Compare(const std::vector<std::string_view>& before,
                          const std::vector<std::string_view>& after, std::uint64_t* work) {
  std::vector<Edit> edits;
  const std::uint64_t pairs = std::uint64_t{before.size()} * after.size();
  if (before.size() > kMostCompared || after.size() > kMostCompared ||
      (work != nullptr && pairs > *work)) {
    for (const std::string_view line : before) edits.push_back({'-', line});
    for (const std::string_view line : after) edits.push_back({'+', line});
    return edits;
  }
  if (work != nullptr) *work -= pairs;
  std::unordered_map<std::string_view, int> numbers;
  const auto numbered = [&](const std::vector<std::string_view>& lines) {
    std::vector<int> all;
    for (const std::string_view line : lines) {
      all.push_back(numbers.try_emplace(line, static_cast<int>(numbers.size())).first->second);
    }
    return all;
  };
  dtl::Diff<int, std::vector<int>> diff(numbered(before), numbered(after));
  diff.onHuge();
  diff.compose();
  std::size_t i = 0;
  std::size_t j = 0;
  for (const auto& [ignored, step] : diff.getSes().getSequence()) {
    if (step.type == dtl::SES_DELETE) {
      edits.push_back({'-', before[i++]});
    } else if (step.type == dtl::SES_ADD) {
      edits.push_back({'+', after[j++]});
    } else {
      edits.push_back({' ', before[i++]});
      ++j;
    }
  }
  // Of what is between two equal lines, what goes comes first.
  for (auto run = edits.begin(); run != edits.end();) {
    const auto end = std::find_if(run, edits.end(), [](const Edit& e) { return e.sign == ' '; });
    std::stable_partition(run, end, [](const Edit& edit) { return edit.sign == '-'; });
    run = end == edits.end() ? end : end + 1;
  }
  return edits;
}

std::vector<Edit> EditsOf(std::vector<std::string_view> before, std::vector<std::string_view> after,
                          std::uint64_t* work) {
  std::size_t begin = 0;
  while (begin < std::min(before.size(), after.size()) && before[begin] == after[begin]) ++begin;
  std::size_t end = 0;
  while (end < std::min(before.size(), after.size()) - begin &&
         before[before.size() - end - 1] == after[after.size() - end - 1]) {
    ++end;
  }
  const auto cut = [&](const std::vector<std::string_view>& lines) {
    return std::vector<std::string_view>(lines.begin() + static_cast<std::ptrdiff_t>(begin),
                                         lines.end() - static_cast<std::ptrdiff_t>(end));
  };
  std::vector<Edit> edits;
  for (std::size_t i = 0; i < begin; ++i) edits.push_back({' ', before[i]});
  const auto middle = Compare(cut(before), cut(after), work);
  edits.insert(edits.end(), middle.begin(), middle.end());
  for (std::size_t i = before.size() - end; i < before.size(); ++i) {
    edits.push_back({' ', before[i]});
  }
  return edits;
}

std::string Range(std::size_t first, std::size_t count) {
  // Of no lines, git tells the one before.
  const std::size_t at = count == 0 ? first : first + 1;
  return count == 1 ? fmt::format("{}", at) : fmt::format("{},{}", at, count);
}

}  // namespace

bool IsBinary(std::string_view content) {
  return content.substr(0, 8000).find('\0') != std::string_view::npos;
}

std::string UnifiedHunks(std::string_view before, std::string_view after, std::uint64_t* work) {
  const std::vector<Edit> edits = EditsOf(LinesOf(before), LinesOf(after), work);
  std::string text;
  std::size_t old_line = 0;
  std::size_t new_line = 0;
  const auto pass = [&](const Edit& edit) {
    old_line += edit.sign != '+' ? 1 : 0;
    new_line += edit.sign != '-' ? 1 : 0;
  };
  std::size_t at = 0;
  while (at < edits.size()) {
    std::size_t change = at;
    while (change < edits.size() && edits[change].sign == ' ') ++change;
    if (change == edits.size()) break;
    const std::size_t begin = change - std::min(change - at, kContext);
    while (at < begin) pass(edits[at++]);
    // It ends where more than twice the context is equal, or with the text.
    std::size_t end = change;
    for (std::size_t i = change; i < edits.size() && i <= end + 2 * kContext + 1; ++i) {
      if (edits[i].sign != ' ') end = i;
    }
    end = std::min(end + 1 + kContext, edits.size());
    const std::size_t old_first = old_line;
    const std::size_t new_first = new_line;
    std::string body;
    for (; at < end; ++at) {
      pass(edits[at]);
      body += edits[at].sign;
      body += edits[at].line;
      if (!edits[at].line.ends_with('\n')) body += "\n\\ No newline at end of file\n";
    }
    text += fmt::format("@@ -{} +{} @@\n", Range(old_first, old_line - old_first),
                        Range(new_first, new_line - new_first));
    text += body;
  }
  return text;
}

std::string QuotedPath(std::string_view prefix, std::string_view path) {
  const bool plain = std::all_of(path.begin(), path.end(), [](char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
  });
  std::string text(prefix);
  if (plain) return text.append(path);
  text.insert(0, "\"");
  for (const char c : path) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (c >= ' ' && c < 0x7f) {
      text += c;
    } else {
      text += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
  }
  return text + "\"";
}

}  // namespace pyro::engine
