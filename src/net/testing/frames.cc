#include "net/testing/frames.h"

#include "base/text.h"
#include "net/bytes.h"
#include "net/dns.h"

namespace pyro::net {
namespace {

std::string Long(std::string_view content) {
  std::string text;
  Put16(text, static_cast<unsigned>(content.size()));
  return text.append(content);
}

}  // namespace

std::string TcpFrame(const Ends& ends, const Segment& segment, std::string_view data) {
  const std::string bare = MakeTcp(ends, segment);
  const std::size_t header = segment.ends.source.IsV4() ? 20 : 40;
  std::string payload = bare.substr(14 + header) + std::string(data);
  payload[14] = '\x7f';  // A window.
  payload[16] = payload[17] = 0;
  std::string sums;
  PutAddress(sums, segment.ends.source);
  PutAddress(sums, segment.ends.destination);
  Put16(sums, kTcp);
  Put16(sums, static_cast<unsigned>(payload.size()));
  sums += payload;
  if (sums.size() % 2 != 0) sums.push_back('\0');
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < sums.size(); i += 2) sum += Get16(AsBytes(sums), i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  payload[16] = static_cast<char>(~sum >> 8 & 0xff);
  payload[17] = static_cast<char>(~sum & 0xff);
  return MakeIp(ends, kTcp, segment.ends.source, segment.ends.destination, payload);
}

std::string AskFrame(std::string_view name, std::uint16_t type, std::uint16_t id,
                     std::uint16_t port) {
  std::string message;
  Put16(message, id);
  for (const unsigned word : {0x0100u, 1u, 0u, 0u, 0u}) Put16(message, word);
  for (const std::string_view label : Split(name, '.')) {
    Put8(message, static_cast<unsigned>(label.size()));
    message.append(label);
  }
  Put8(message, 0);
  Put16(message, type);
  Put16(message, 1);
  return MakeUdp(kFromGuest,
                 {.source = kGuest,
                  .source_port = port,
                  .destination = kResolver,
                  .destination_port = kDnsPort},
                 message);
}

std::string ClientHello(std::string_view name) {
  std::string body("\x03\x03", 2);
  body.append(32, 'r');
  Put8(body, 0);
  body += Long(std::string("\x13\x01", 2));
  Put8(body, 1);
  Put8(body, 0);
  std::string extensions;
  Put16(extensions, 43);
  extensions += Long(std::string("\x02\x03\x04", 3));
  if (!name.empty()) {
    Put16(extensions, 0);
    extensions += Long(Long(std::string(1, '\0') + Long(name)));
  }
  body += Long(extensions);
  std::string hello(1, '\x01');
  Put8(hello, 0);
  hello += Long(body);
  return std::string("\x16\x03\x01", 3) + Long(hello);
}

}  // namespace pyro::net
