#include "base/age.h"

#include <algorithm>

#include <fmt/format.h>

namespace pyro {

Result<WallTime> ParseTime(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  const auto bad = MakeError(ErrorCode::kInvalidArgument, "not a time in UTC with milliseconds");
  if (text.size() != kForm.size()) return bad;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return bad;
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    for (const char digit : text.substr(at, digits)) value = value * 10 + (digit - '0');
    return value;
  };
  const std::chrono::year_month_day day(std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2))));
  if (!day.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60) return bad;
  return WallTime(std::chrono::sys_days(day) + std::chrono::hours(number(11, 2)) +
                  std::chrono::minutes(number(14, 2)) + std::chrono::seconds(number(17, 2)) +
                  std::chrono::milliseconds(number(20, 3)));
}

std::string FormatAge(std::chrono::milliseconds age) {
  const std::int64_t seconds = std::max<std::int64_t>(age.count() / 1000, 0);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

}  // namespace pyro
