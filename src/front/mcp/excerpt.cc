#include "front/mcp/excerpt.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::mcp_server {
namespace {

// The cost of one byte inside a JSON string. Bytes that are not UTF-8 become a character of three
// bytes each.
std::size_t CostOf(char c) {
  const auto byte = static_cast<unsigned char>(c);
  switch (c) {
    case '"':
    case '\\':
    case '\n':
    case '\r':
    case '\t':
    case '\b':
    case '\f':
      return 2;
    default:
      return byte < 0x20 || byte == 0x7f ? 6 : 1;
  }
}

}  // namespace

std::size_t JsonCost(std::string_view text) {
  std::size_t cost = 0;
  bool high = false;
  for (const char c : text) {
    cost += CostOf(c);
    high = high || static_cast<unsigned char>(c) >= 0x80;
  }
  // In doubt as if every byte above ASCII were replaced.
  if (high && !IsUtf8(text)) {
    cost += 2 * static_cast<std::size_t>(std::count_if(text.begin(), text.end(),
                                                       [](char c) { return (c & 0x80) != 0; }));
  }
  return cost;
}

std::string_view PrefixWithin(std::string_view text, std::size_t cost) {
  if (JsonCost(text) <= cost) return text;
  std::size_t low = 0;
  std::size_t high = text.size();
  while (low + 1 < high) {
    const std::size_t middle = low + (high - low) / 2;
    (JsonCost(WithoutCutEnd(text.substr(0, middle))) <= cost ? low : high) = middle;
  }
  return WithoutCutEnd(text.substr(0, low));
}

std::string_view SuffixWithin(std::string_view text, std::size_t cost) {
  if (JsonCost(text) <= cost) return text;
  std::size_t low = 0;
  std::size_t high = text.size();
  while (low + 1 < high) {
    const std::size_t middle = low + (high - low) / 2;
    (JsonCost(WithoutCutBegin(text.substr(text.size() - middle))) <= cost ? low : high) = middle;
  }
  return WithoutCutBegin(text.substr(text.size() - low));
}

Excerpt Cut(const Ends& ends, std::size_t budget, std::string_view rest) {
  Excerpt excerpt;
  if (ends.whole() && JsonCost(ends.head) <= budget) {
    excerpt.text = ends.head;
    excerpt.head_bytes = ends.head.size();
    return excerpt;
  }
  excerpt.truncated = true;
  const std::string& last = ends.whole() ? ends.head : ends.tail;
  const std::string_view head = PrefixWithin(ends.head, budget / 2);
  std::string_view tail = SuffixWithin(last, budget / 2);
  // The two ends of one text do not overlap.
  if (ends.whole()) {
    tail = SuffixWithin(std::string_view(last).substr(head.size()), budget / 2);
  }
  const std::uint64_t missing = ends.total_bytes - head.size() - tail.size();
  std::string where(rest);
  if (const std::size_t at = where.find("{offset}"); at != std::string::npos) {
    where.replace(at, 8, std::to_string(head.size()));
  }
  excerpt.head_bytes = head.size();
  excerpt.text = fmt::format("{}\n[… {} bytes left out; {}]\n{}", head, missing, where, tail);
  return excerpt;
}

Shares ShareBudget(const Ends& out, const Ends& err, std::size_t budget) {
  const auto wanted = [](const Ends& ends) {
    return ends.whole() ? std::min(JsonCost(ends.head), kStreamBudget) : kStreamBudget;
  };
  const std::size_t out_wanted = wanted(out);
  const std::size_t err_wanted = wanted(err);
  if (out_wanted + err_wanted <= budget) return {out_wanted, err_wanted};
  const std::size_t half = budget / 2;
  if (err_wanted <= half) return {budget - err_wanted, err_wanted};
  if (out_wanted <= half) return {out_wanted, budget - out_wanted};
  return {half, half};
}

Result<std::size_t> EndsSink::Write(OutputStream stream, std::string_view bytes) {
  Stream& one = stream == OutputStream::kStdout ? out_ : err_;
  one.total += bytes.size();
  const std::size_t taken = std::min(bytes.size(), 2 * kEndBytes - one.head.size());
  one.head += bytes.substr(0, taken);
  one.tail += bytes.substr(taken);
  if (one.tail.size() > 4 * kEndBytes) one.tail.erase(0, one.tail.size() - kEndBytes);
  return bytes.size();
}

Ends EndsSink::Take(OutputStream stream) const {
  const Stream& one = Of(stream);
  Ends ends{one.head, one.tail, one.total};
  if (ends.whole()) return ends;
  // The middle is dropped here, so that one half is head and one is tail.
  const std::string all = one.head + one.tail;
  if (all.size() == one.total) {
    ends.tail = all.substr(all.size() - std::min(all.size(), kEndBytes));
  }
  if (ends.tail.size() > kEndBytes) ends.tail.erase(0, ends.tail.size() - kEndBytes);
  return ends;
}

std::vector<std::string> CutWords(const std::vector<std::string>& words, std::size_t budget) {
  std::vector<std::string> cut;
  for (const std::string& word : words) {
    const std::size_t cost = JsonCost(word) + 3;
    if (cost <= budget) {
      cut.push_back(word);
      budget -= cost;
      continue;
    }
    cut.push_back(std::string(PrefixWithin(word, budget)) + "…");
    break;
  }
  return cut;
}

}  // namespace pyro::mcp_server
