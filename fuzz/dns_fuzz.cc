// Questions and answers of DNS, of any bytes: reading ends, a question that is read can be asked,
// and an answer that is made can be read.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "net/bytes.h"
#include "net/dns.h"
#include "net/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::net;
  const Frame message(data, size);
  if (const auto answer = ParseDnsAnswer(message)) {
    PYRO_CHECK(CanonicalName(answer->name) == answer->name);
    for (const Address& one : answer->addresses) PYRO_CHECK(one.IsV4() == (answer->type == kTypeA));
  }
  const auto question = ParseDnsQuestion(message);
  if (!question) return 0;
  const std::string refused = MakeDnsAnswer(*question, DnsCode::kNoSuchName);
  PYRO_CHECK(refused.size() <= kMaxDnsBytes);
  if (question->name.empty()) return 0;
  PYRO_CHECK(CanonicalName(question->name) == question->name);
  const std::string asked = MakeDnsQuestion(question->id, question->name);
  const auto again = ParseDnsQuestion(AsBytes(asked));
  PYRO_CHECK(again && again->name == question->name && again->type == kTypeA);
  const auto answer = ParseDnsAnswer(
      AsBytes(MakeDnsAnswer(*again, DnsCode::kNoError, {0x01020304}, std::chrono::seconds(7))));
  PYRO_CHECK(answer && answer->name == question->name && answer->addresses.size() == 1);
  const std::string asked6 = MakeDnsQuestion(question->id, question->name, kTypeAaaa);
  const auto again6 = ParseDnsQuestion(AsBytes(asked6));
  PYRO_CHECK(again6 && again6->type == kTypeAaaa);
  const auto answer6 = ParseDnsAnswer(
      AsBytes(MakeDnsAnswer(*again6, DnsCode::kNoError, {Address(1, 2)}, std::chrono::seconds(7))));
  PYRO_CHECK(answer6 && answer6->addresses == std::vector<Address>{Address(1, 2)});
  return 0;
}
