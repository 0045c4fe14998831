#include "agent/tar_format.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kEndBytes = 2 * kBlock;
constexpr std::size_t kInputBytes = 256 * 1024;
// Of the extended headers and of the map of holes of one entry.
constexpr std::int64_t kMaxExtended = 1 << 20;
constexpr std::int64_t kMaxHoleMap = 16 << 20;
constexpr std::int64_t kMaxSize = std::int64_t{16} << 40;  // As in a guest's ext4.
constexpr std::int64_t kSecond = 1'000'000'000;

// Where a block has what, and how long it is there.
struct FieldPlace {
  std::size_t at;
  std::size_t bytes;
};
constexpr FieldPlace kName{0, 100};
constexpr FieldPlace kMode{100, 8};
constexpr FieldPlace kUid{108, 8};
constexpr FieldPlace kGid{116, 8};
constexpr FieldPlace kSize{124, 12};
constexpr FieldPlace kTime{136, 12};
constexpr FieldPlace kChecksum{148, 8};
constexpr FieldPlace kType{156, 1};
constexpr FieldPlace kTarget{157, 100};
constexpr FieldPlace kMagic{257, 8};
constexpr FieldPlace kMajor{329, 8};
constexpr FieldPlace kMinor{337, 8};
constexpr FieldPlace kPrefix{345, 155};

constexpr std::string_view kUstar("ustar\00000", 8);
constexpr std::string_view kTypes = "0123456";  // By TarEntry::Type.
constexpr char kExtendedType = 'x';
constexpr std::string_view kAttribute = "SCHILY.xattr.";  // Before its name.

Error Broken() {
  Error error;
  error.sys_errno = EPROTO;
  return error;
}

std::size_t Padded(std::size_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

std::string_view Get(std::string_view block, const FieldPlace& place) {
  const std::string_view whole = block.substr(place.at, place.bytes);
  return whole.substr(0, std::min(whole.find('\0'), whole.size()));
}

void Put(std::string& block, const FieldPlace& place, std::string_view text) {
  block.replace(place.at, std::min(text.size(), place.bytes), text, 0, place.bytes);
}

// The largest number that the place can hold in octal digits.
std::int64_t Most(const FieldPlace& place) {
  return (std::int64_t{1} << (3 * (place.bytes - 1))) - 1;
}

// A number that does not fit stands in a record, too.
void PutNumber(std::string& block, const FieldPlace& place, std::int64_t number) {
  const std::int64_t fits = std::clamp<std::int64_t>(number, 0, Most(place));
  Put(block, place, fmt::format("{:0{}o}", fits, place.bytes - 1));
}

std::uint32_t SumOf(std::string_view block) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.at && i < kChecksum.at + kChecksum.bytes;
    sum += own ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

// "LENGTH KEY=VALUE\n", with its own length in it.
void AddRecord(std::string& records, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (length != rest + fmt::formatted_size("{}", length)) {
    length = rest + fmt::formatted_size("{}", length);
  }
  records += fmt::format("{} ", length);
  records.append(key).append("=").append(value).append("\n");
}

std::string Block(char type, std::string_view name, std::int64_t size) {
  std::string block(kBlock, '\0');
  Put(block, kName, name);
  PutNumber(block, kSize, size);
  block[kType.at] = type;
  Put(block, kMagic, kUstar);
  return block;
}

void Seal(std::string& block) {
  Put(block, kChecksum, fmt::format("{:06o}", SumOf(block)) + std::string("\0 ", 2));
}

std::string HoleMap(const TarEntry& entry) {
  std::string map;
  std::size_t count = entry.data->size();
  for (const sys::FileRange& range : *entry.data) {
    map += fmt::format("{}\n{}\n", range.offset, range.length);
  }
  // Where the last hole ends.
  const std::int64_t end = count == 0 ? 0 : entry.data->back().offset + entry.data->back().length;
  if (end < entry.size || count == 0) {
    map += fmt::format("{}\n0\n", entry.size);
    ++count;
  }
  map.insert(0, fmt::format("{}\n", count));
  map.resize(Padded(map.size()));
  return map;
}

std::optional<std::int64_t> Octal(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  std::int64_t number = 0;
  if (text.empty()) return number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 8);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// In octal digits or, as libarchive writes what these cannot hold, in bytes behind a set bit.
std::optional<std::int64_t> Number(std::string_view block, const FieldPlace& place) {
  constexpr std::size_t kBytes = sizeof(std::int64_t);
  if ((static_cast<unsigned char>(block[place.at]) & 0x80) == 0) return Octal(Get(block, place));
  const std::string_view bytes = block.substr(place.at + place.bytes - kBytes, kBytes);
  auto number = static_cast<std::uint64_t>(place.bytes == kBytes ? bytes[0] & 0x7f : 0);
  for (const char byte : bytes.substr(place.bytes == kBytes ? 1 : 0)) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return static_cast<std::int64_t>(number);
}

std::optional<std::int64_t> Decimal(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// A decimal number, as POSIX's pax has it: -1.5 is half a second before -1.
std::string TimeText(const TarEntry& entry) {
  if (entry.seconds >= 0 || entry.nanoseconds == 0)
    return fmt::format("{}.{:09}", entry.seconds, entry.nanoseconds);
  return fmt::format("-{}.{:09}", -(entry.seconds + 1), kSecond - entry.nanoseconds);
}

bool ReadTime(std::string_view text, TarEntry& entry) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const auto seconds = Decimal(text.substr(0, point));
  std::string fraction(text.substr(std::min(point + 1, text.size())));
  fraction.resize(9, '0');
  const auto nanoseconds = Decimal(fraction);
  if (!seconds || !nanoseconds || *nanoseconds < 0 || *nanoseconds >= kSecond) return false;
  const bool down = text.starts_with('-') && *nanoseconds != 0;
  if (down && *seconds == std::numeric_limits<std::int64_t>::min()) return false;
  entry.seconds = down ? *seconds - 1 : *seconds;
  entry.nanoseconds = down ? kSecond - *nanoseconds : *nanoseconds;
  return true;
}

}  // namespace

std::int64_t TarContentBytes(const TarEntry& entry) {
  if (entry.type != TarEntry::Type::kFile) return 0;
  if (!entry.data) return entry.size;
  std::int64_t bytes = 0;
  for (const sys::FileRange& range : *entry.data) bytes += range.length;
  return bytes;
}

std::size_t TarPadding(std::int64_t content_bytes) {
  const auto last = static_cast<std::size_t>(content_bytes) % kBlock;
  return last == 0 ? 0 : kBlock - last;
}

std::string TarHeader(const TarEntry& entry) {
  const bool sparse = entry.type == TarEntry::Type::kFile && entry.data.has_value();
  const std::string map = sparse ? HoleMap(entry) : std::string();
  const std::int64_t stored = TarContentBytes(entry) + static_cast<std::int64_t>(map.size());
  std::string records;
  if (sparse) {
    AddRecord(records, "GNU.sparse.major", "1");
    AddRecord(records, "GNU.sparse.minor", "0");
    AddRecord(records, "GNU.sparse.name", entry.name);
    AddRecord(records, "GNU.sparse.realsize", fmt::format("{}", entry.size));
  }
  if (entry.name.size() > kName.bytes) AddRecord(records, "path", entry.name);
  if (entry.target.size() > kTarget.bytes) AddRecord(records, "linkpath", entry.target);
  if (entry.uid > Most(kUid)) AddRecord(records, "uid", fmt::format("{}", entry.uid));
  if (entry.gid > Most(kGid)) AddRecord(records, "gid", fmt::format("{}", entry.gid));
  if (stored > Most(kSize)) AddRecord(records, "size", fmt::format("{}", stored));
  if (entry.nanoseconds != 0 || entry.seconds < 0 || entry.seconds > Most(kTime)) {
    AddRecord(records, "mtime", TimeText(entry));
  }
  for (const auto& [name, value] : entry.attributes) {
    AddRecord(records, std::string(kAttribute) + name, value);
  }
  std::string header;
  if (!records.empty()) {
    header = Block(kExtendedType, "PaxHeader", static_cast<std::int64_t>(records.size()));
    PutNumber(header, kMode, 0644);
    PutNumber(header, kUid, 0);
    PutNumber(header, kGid, 0);
    PutNumber(header, kTime, 0);
    Seal(header);
    header += records;
    header.resize(Padded(header.size()));
  }
  std::string block = Block(kTypes[static_cast<std::size_t>(entry.type)], entry.name, stored);
  PutNumber(block, kMode, entry.mode);
  PutNumber(block, kUid, entry.uid);
  PutNumber(block, kGid, entry.gid);
  PutNumber(block, kTime, entry.seconds);
  PutNumber(block, kMajor, entry.device_major);
  PutNumber(block, kMinor, entry.device_minor);
  Put(block, kTarget, entry.target);
  Seal(block);
  return header + block + map;
}

std::string TarEnd() { return std::string(kEndBytes, '\0'); }

TarInput::TarInput(Source source) : source_(std::move(source)), buffer_(kInputBytes, '\0') {}

// False: at the end.
Result<bool> TarInput::Fill() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size()) {
    if (begin_ == 0) buffer_.resize(2 * buffer_.size());
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  PYRO_ASSIGN_OR_RETURN(const std::size_t n, source_(buffer_.data() + end_, buffer_.size() - end_));
  end_ += n;
  return n > 0;
}

Result<std::string_view> TarInput::Exactly(std::size_t bytes) {
  while (end_ - begin_ < bytes) {
    PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return Broken();
  }
  const std::string_view taken(buffer_.data() + begin_, bytes);
  begin_ += bytes;
  return taken;
}

Status TarInput::Skip(std::int64_t bytes) {
  while (bytes > 0) {
    const std::int64_t now = std::min<std::int64_t>(bytes, kInputBytes);
    PYRO_ASSIGN_OR_RETURN(const auto skipped, Exactly(static_cast<std::size_t>(now)));
    bytes -= static_cast<std::int64_t>(skipped.size());
  }
  return OkStatus();
}

Result<std::string_view> TarInput::Content(std::int64_t most) {
  if (begin_ == end_) {
    PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return Broken();
  }
  const std::int64_t there = static_cast<std::int64_t>(end_ - begin_);
  const std::int64_t now = std::min({most, left_, there});
  left_ -= now;
  return Exactly(static_cast<std::size_t>(now));
}

const std::string* TarInput::Record(std::string_view key) const {
  const auto found = std::find_if(records_.rbegin(), records_.rend(),
                                  [key](const auto& record) { return record.first == key; });
  return found == records_.rend() ? nullptr : &found->second;
}

Status TarInput::ReadExtended(std::int64_t bytes) {
  if (bytes > kMaxExtended) return Broken();
  const auto size = static_cast<std::size_t>(bytes);
  PYRO_ASSIGN_OR_RETURN(std::string_view text, Exactly(Padded(size)));
  text = text.substr(0, size);
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const auto length = space == text.npos ? std::nullopt : Decimal(text.substr(0, space));
    if (!length || *length <= static_cast<std::int64_t>(space) + 1 ||
        *length > static_cast<std::int64_t>(text.size())) {
      return Broken();
    }
    const auto end = static_cast<std::size_t>(*length);
    const std::string_view record = text.substr(space + 1, end - space - 2);
    const std::size_t equals = record.find('=');
    if (text[end - 1] != '\n' || equals == record.npos) return Broken();
    records_.emplace_back(record.substr(0, equals), record.substr(equals + 1));
    text.remove_prefix(end);
  }
  return OkStatus();
}

// The rest is zeros, by custom up to a multiple of 10 KiB.
Status TarInput::ReadToEnd() {
  while (true) {
    begin_ = end_;
    PYRO_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return OkStatus();
  }
}

Result<TarEntry> TarInput::Convert(std::string_view block) {
  TarEntry entry;
  entry.name = Get(block, kName);
  if (const auto prefix = Get(block, kPrefix); !prefix.empty()) {
    entry.name = fmt::format("{}/{}", prefix, entry.name);
  }
  entry.target = Get(block, kTarget);
  const std::size_t type = block[kType.at] == '\0' ? 0 : kTypes.find(block[kType.at]);
  if (type == kTypes.npos) return Broken();
  entry.type = static_cast<TarEntry::Type>(type);
  std::int64_t major = 0;
  std::int64_t minor = 0;
  for (const auto& [place, number] :
       {std::pair(kMode, &entry.mode), std::pair(kUid, &entry.uid), std::pair(kGid, &entry.gid),
        std::pair(kSize, &entry.size), std::pair(kTime, &entry.seconds), std::pair(kMajor, &major),
        std::pair(kMinor, &minor)}) {
    const auto value = Number(block, place);
    if (!value) return Broken();
    *number = *value;
  }
  entry.mode &= 07777;
  entry.device_major = static_cast<std::uint32_t>(major);
  entry.device_minor = static_cast<std::uint32_t>(minor);
  if (const auto* path = Record("path")) entry.name = *path;
  if (const auto* target = Record("linkpath")) entry.target = *target;
  for (const auto& [key, number] : {std::pair("uid", &entry.uid), std::pair("gid", &entry.gid),
                                    std::pair("size", &entry.size)}) {
    const auto* text = Record(key);
    const auto value = text == nullptr ? std::optional(*number) : Decimal(*text);
    if (!value) return Broken();
    *number = *value;
  }
  for (const auto& [key, value] : records_) {
    if (key.starts_with(kAttribute)) {
      entry.attributes.emplace_back(key.substr(kAttribute.size()), value);
    }
  }
  const auto* time = Record("mtime");
  if (time != nullptr && !ReadTime(*time, entry)) return Broken();
  constexpr std::int64_t kMaxId = std::numeric_limits<std::uint32_t>::max() - 1;
  const bool impossible = entry.size < 0 || entry.size > kMaxSize || entry.uid < 0 ||
                          entry.uid > kMaxId || entry.gid < 0 || entry.gid > kMaxId ||
                          entry.name.find('\0') != std::string::npos ||
                          entry.target.find('\0') != std::string::npos;
  if (impossible) return Broken();
  return entry;
}

// The map stands before the content: how many parts, and of each where it begins and its length.
Status TarInput::ReadHoles(TarEntry& entry) {
  const auto* name = Record("GNU.sparse.name");
  const auto* size = Record("GNU.sparse.realsize");
  const auto* minor = Record("GNU.sparse.minor");
  const std::int64_t real = size == nullptr ? -1 : Decimal(*size).value_or(-1);
  if (entry.type != TarEntry::Type::kFile || name == nullptr || minor == nullptr || *minor != "0" ||
      real < 0 || real > kMaxSize) {
    return Broken();
  }
  std::string map;
  std::vector<std::int64_t> numbers;
  std::size_t at = 0;
  // The first one says how many there are.
  while (numbers.empty() || static_cast<std::int64_t>(numbers.size()) < 1 + 2 * numbers[0]) {
    const std::size_t end = map.find('\n', at);
    if (end == map.npos) {
      if (left_ < static_cast<std::int64_t>(kBlock) ||
          static_cast<std::int64_t>(map.size()) > kMaxHoleMap) {
        return Broken();
      }
      PYRO_ASSIGN_OR_RETURN(const auto block, Exactly(kBlock));
      left_ -= static_cast<std::int64_t>(kBlock);
      map += block;
      continue;
    }
    const auto number = Decimal(std::string_view(map).substr(at, end - at));
    if (!number || *number < 0 || *number > kMaxSize) return Broken();
    numbers.push_back(*number);
    at = end + 1;
  }
  entry.name = *name;
  entry.size = real;
  entry.data.emplace();
  std::int64_t position = 0;
  for (std::size_t i = 1; i < numbers.size(); i += 2) {
    if (numbers[i] < position || numbers[i + 1] > entry.size - numbers[i]) return Broken();
    position = numbers[i] + numbers[i + 1];
    if (numbers[i + 1] > 0) entry.data->push_back({numbers[i], numbers[i + 1]});
  }
  return TarContentBytes(entry) == left_ ? OkStatus() : Status(Broken());
}

Result<std::optional<TarEntry>> TarInput::Next() {
  PYRO_RETURN_IF_ERROR(Skip(std::exchange(left_, 0)));
  PYRO_RETURN_IF_ERROR(Skip(std::exchange(padding_, 0)));
  records_.clear();
  std::int64_t extended = 0;
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const std::string_view block, Exactly(kBlock));
    if (block.find_first_not_of('\0') == block.npos) {
      if (extended > 0) return Broken();
      PYRO_RETURN_IF_ERROR(ReadToEnd());
      return std::optional<TarEntry>();
    }
    const auto sum = Octal(Get(block, kChecksum));
    if (!sum || *sum != SumOf(block)) return Broken();
    if (block[kType.at] == kExtendedType) {
      const auto size = Octal(Get(block, kSize));
      if (!size || (extended += *size) > kMaxExtended) return Broken();
      PYRO_RETURN_IF_ERROR(ReadExtended(*size));
      continue;
    }
    PYRO_ASSIGN_OR_RETURN(TarEntry entry, Convert(block));
    left_ = entry.size;
    padding_ = static_cast<std::int64_t>(TarPadding(left_));
    if (Record("GNU.sparse.major") != nullptr) PYRO_RETURN_IF_ERROR(ReadHoles(entry));
    if (entry.type != TarEntry::Type::kFile) entry.size = 0;
    return std::optional<TarEntry>(std::move(entry));
  }
}

}  // namespace pyro::agent
