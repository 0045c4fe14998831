#include "net/dns.h"

#include <algorithm>
#include <string_view>

#include "net/bytes.h"
#include "net/policy.h"

namespace pyro::net {
namespace {

constexpr std::size_t kDnsHeaderBytes = 12;
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kTypeCname = 5;
constexpr std::uint16_t kTypeOpt = 41;
constexpr unsigned kAskedBytes = 1232;  // No answer is cut up on its way.
constexpr unsigned kResponse = 0x8000;
constexpr unsigned kOpcode = 0x7800;
constexpr unsigned kRecursionDesired = 0x0100;
constexpr unsigned kRecursionAvailable = 0x0080;
constexpr int kMaxPointers = 32;
constexpr int kMaxRecords = 128;
constexpr int kMaxAliases = 16;
constexpr std::uint32_t kMaxTtlOfRecord = 7 * 24 * 3600;

// Reads a message from its begin; each read fails at its end.
class DnsReader {
 public:
  explicit DnsReader(Frame message) : message_(message) {}

  std::size_t at() const { return at_; }

  bool Skip(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }

  std::optional<std::uint16_t> Take16() {
    if (!Skip(2)) return std::nullopt;
    return Get16(message_, at_ - 2);
  }

  std::optional<std::uint32_t> Take32() {
    if (!Skip(4)) return std::nullopt;
    return Get32(message_, at_ - 4);
  }

  // Canonical, or empty for a name that cannot be a host's. nullopt: no name.
  std::optional<std::string> TakeName() {
    std::string name;
    bool odd = false;
    std::size_t at = at_;
    std::size_t end = 0;  // Behind the name where it stands, once a pointer has left that place.
    for (int pointers = 0;;) {
      if (at >= message_.size()) return std::nullopt;
      const std::size_t length = message_[at];
      if (length == 0) {
        at_ = end != 0 ? end : at + 1;
        if (odd) return std::string();
        return CanonicalName(name).value_or(std::string());
      }
      if ((length & 0xc0) == 0xc0) {
        if (at + 1 >= message_.size() || ++pointers > kMaxPointers) return std::nullopt;
        if (end == 0) end = at + 2;
        const std::size_t target = (length & 0x3f) << 8 | message_[at + 1];
        if (target >= at) return std::nullopt;  // Only backwards, so it ends.
        at = target;
        continue;
      }
      if ((length & 0xc0) != 0 || message_.size() - at - 1 < length) return std::nullopt;
      if (name.size() + length + 1 > kMaxDnsNameBytes + 1) return std::nullopt;
      const std::string_view label(reinterpret_cast<const char*>(message_.data()) + at + 1, length);
      odd |= label.find('.') != std::string_view::npos;
      name.append(label).push_back('.');
      at += 1 + length;
    }
  }

 private:
  Frame message_;
  std::size_t at_ = 0;
};

void PutName(std::string& message, std::string_view name) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    Put8(message, static_cast<unsigned>(label.size()));
    message.append(label);
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  Put8(message, 0);
}

struct Record {
  std::string owner;
  std::uint16_t type = 0;
  std::chrono::seconds ttl{0};
  Address address;     // Of kTypeA and kTypeAaaa.
  std::string target;  // Of kTypeCname.
};

// nullopt: the message ends within it.
std::optional<Record> TakeRecord(DnsReader& reader, Frame message) {
  Record record;
  auto owner = reader.TakeName();
  if (!owner) return std::nullopt;
  record.owner = std::move(*owner);
  const auto type = reader.Take16();
  const auto net_class = reader.Take16();
  const auto ttl = reader.Take32();
  const auto length = reader.Take16();
  if (!type || !net_class || !ttl || !length) return std::nullopt;
  const std::size_t begin = reader.at();
  if (!reader.Skip(*length)) return std::nullopt;
  record.ttl = std::chrono::seconds(std::min(*ttl, kMaxTtlOfRecord));
  if (*net_class != kClassIn) return record;
  if (*type == kTypeA && *length == 4) {
    record.type = kTypeA;
    record.address = Get32(message, begin);
  } else if (*type == kTypeAaaa && *length == 16) {
    record.address = GetAddress(message, begin);
    // One of IPv4 within IPv6 leads nowhere.
    if (!record.address.IsV4()) record.type = kTypeAaaa;
  } else if (*type == kTypeCname) {
    DnsReader inner(message.first(begin + *length));
    if (!inner.Skip(begin)) return std::nullopt;
    auto target = inner.TakeName();
    if (!target) return std::nullopt;
    record.type = kTypeCname;
    record.target = std::move(*target);
  }
  return record;
}

// Follows the aliases of the name to its addresses. Records may stand in any order.
void CollectAddresses(const std::vector<Record>& records, DnsAnswer& answer) {
  std::string name = answer.name;
  std::chrono::seconds ttl{kMaxTtlOfRecord};
  for (int step = 0; step < kMaxAliases && !name.empty(); ++step) {
    for (const Record& record : records) {
      if (record.type != answer.type || record.owner != name) continue;
      answer.addresses.push_back(record.address);
      ttl = std::min(ttl, record.ttl);
    }
    if (!answer.addresses.empty()) break;
    const auto alias = std::find_if(records.begin(), records.end(), [&](const Record& record) {
      return record.type == kTypeCname && record.owner == name;
    });
    if (alias == records.end()) break;
    ttl = std::min(ttl, alias->ttl);
    name = alias->target;
  }
  if (!answer.addresses.empty()) answer.ttl = ttl;
}

}  // namespace

std::optional<DnsQuestion> ParseDnsQuestion(Frame message) {
  if (message.size() < kDnsHeaderBytes || message.size() > kMaxDnsBytes) return std::nullopt;
  if ((Get16(message, 2) & (kResponse | kOpcode)) != 0 || Get16(message, 4) != 1) {
    return std::nullopt;
  }
  DnsReader reader(message);
  static_cast<void>(reader.Skip(kDnsHeaderBytes));
  auto name = reader.TakeName();
  const auto type = reader.Take16();
  const auto net_class = reader.Take16();
  if (!name || !type || !net_class || *net_class != kClassIn) return std::nullopt;
  DnsQuestion question;
  question.id = Get16(message, 0);
  question.type = *type;
  question.name = std::move(*name);
  question.wire.assign(reinterpret_cast<const char*>(message.data()) + kDnsHeaderBytes,
                       reader.at() - kDnsHeaderBytes);
  return question;
}

std::string MakeDnsQuestion(std::uint16_t id, const std::string& name, std::uint16_t type) {
  std::string message;
  Put16(message, id);
  Put16(message, kRecursionDesired);
  for (const unsigned count : {1u, 0u, 0u, 1u}) Put16(message, count);
  PutName(message, name);
  Put16(message, type);
  Put16(message, kClassIn);
  Put8(message, 0);
  Put16(message, kTypeOpt);
  Put16(message, kAskedBytes);
  Put32(message, 0);
  Put16(message, 0);
  return message;
}

std::optional<DnsAnswer> ParseDnsAnswer(Frame message) {
  if (message.size() < kDnsHeaderBytes || message.size() > kMaxDnsBytes) return std::nullopt;
  const unsigned flags = Get16(message, 2);
  if ((flags & kResponse) == 0 || (flags & kOpcode) != 0 || Get16(message, 4) != 1) {
    return std::nullopt;
  }
  DnsReader reader(message);
  static_cast<void>(reader.Skip(kDnsHeaderBytes));
  auto name = reader.TakeName();
  if (!name || name->empty()) return std::nullopt;
  DnsAnswer answer;
  answer.type = reader.Take16().value_or(0);
  const bool asks = answer.type == kTypeA || answer.type == kTypeAaaa;
  if (!asks || reader.Take16() != kClassIn) return std::nullopt;
  answer.id = Get16(message, 0);
  answer.name = std::move(*name);
  const unsigned code = flags & 0x0f;
  answer.code = code == 0   ? DnsCode::kNoError
                : code == 3 ? DnsCode::kNoSuchName
                            : DnsCode::kServerFailure;
  std::vector<Record> records;
  const int count = std::min<int>(Get16(message, 6), kMaxRecords);
  for (int i = 0; i < count; ++i) {
    auto record = TakeRecord(reader, message);
    if (!record) break;
    records.push_back(std::move(*record));
  }
  CollectAddresses(records, answer);
  return answer;
}

std::string MakeDnsAnswer(const DnsQuestion& question, DnsCode code,
                          const std::vector<Address>& addresses, std::chrono::seconds ttl) {
  const bool v6 = question.type == kTypeAaaa;
  const std::size_t count = std::min(addresses.size(), v6 ? kMaxAddresses6 : kMaxAddresses);
  std::string message;
  Put16(message, question.id);
  Put16(message, kResponse | kRecursionDesired | kRecursionAvailable | static_cast<unsigned>(code));
  Put16(message, 1);
  Put16(message, static_cast<unsigned>(count));
  Put32(message, 0);
  message.append(question.wire);
  for (std::size_t i = 0; i < count; ++i) {
    Put16(message, 0xc000 | kDnsHeaderBytes);  // The name of the question.
    Put16(message, v6 ? kTypeAaaa : kTypeA);
    Put16(message, kClassIn);
    Put32(message, static_cast<std::uint32_t>(ttl.count()));
    Put16(message, v6 ? 16 : 4);
    PutAddress(message, addresses[i]);
  }
  return message;
}

}  // namespace pyro::net
