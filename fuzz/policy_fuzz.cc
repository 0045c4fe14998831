// Rules of a network, presets, refusals and orders for the gate, of any bytes: what is read is
// written so that it reads the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "net/control.h"
#include "net/denials.h"
#include "net/policy.h"
#include "net/presets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto policy = Policy::Parse(text); policy.ok()) {
    const auto again = Policy::Parse(policy->Format());
    PYRO_CHECK(again.ok() && *again == *policy);
    PYRO_CHECK(policy->AskAddress(0x7f000001, 80, false) != Reason::kNone);
    PYRO_CHECK(policy->AskAnswer(0xa9fea9fe, true) != Reason::kNone);
    PYRO_CHECK(policy->AskAddress(Address(0, 1), 80, false) != Reason::kNone);
    PYRO_CHECK(policy->AskAddress(Address(0x0064ff9b00000000, 1), 80, false) != Reason::kNone);
  }
  if (const auto rule = ParseRule(true, text); rule.ok()) {
    const auto again = ParseRule(true, FormatRule(*rule));
    PYRO_CHECK(again.ok() && *again == *rule);
  }
  static_cast<void>(ParsePresets(text));
  static_cast<void>(ParseGateOrders(text));
  if (const auto denial = ParseDenial(text); denial.ok()) {
    const auto again = ParseDenial(FormatDenial(*denial));
    PYRO_CHECK(again.ok() && *again == *denial);
    const std::string rule = RuleFor(*denial);
    PYRO_CHECK(rule.empty() || ParseRule(true, rule).ok());
  }
  return 0;
}
