#include "base/lines.h"

#include <algorithm>

#include "base/text.h"

namespace pyro {

std::string PrintableLines(std::string_view text, std::size_t max_bytes) {
  const std::string_view shown = text.substr(0, std::min(text.size(), max_bytes));
  std::string out;
  for (const std::string_view line : Split(shown, '\n')) {
    const std::string_view said = TrimSpace(line);
    if (said.empty()) continue;
    if (!out.empty()) out += "; ";
    out += Printable(said, max_bytes);
  }
  if (shown.size() < text.size()) out += "…";
  return out;
}

}  // namespace pyro
