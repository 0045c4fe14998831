#include "net/first_bytes.h"

#include <gtest/gtest.h>

#include "net/bytes.h"
#include "net/testing/frames.h"

namespace pyro::net {
namespace {

using Kind = FirstLook::Kind;

FirstLook LookAt(const std::string& bytes) { return LookAtFirstBytes(AsBytes(bytes)); }

// One name, or "" for none, "?" for bad, "…" for more.
std::string Seen(const std::string& bytes) {
  const FirstLook look = LookAt(bytes);
  if (look.kind == Kind::kMore) return "...";
  if (look.kind == Kind::kBad) return "?";
  if (look.kind == Kind::kNoName) return "";
  std::string all;
  for (const std::string& name : look.names) all += (all.empty() ? "" : " ") + name;
  return all;
}

// Cut anywhere, the beginning asks for more, and never gives another answer.
void ExpectMoreBefore(const std::string& whole, std::size_t needed) {
  for (std::size_t size = 0; size < needed; ++size) {
    EXPECT_EQ(Seen(whole.substr(0, size)), "...") << size;
  }
}

TEST(FirstBytesTest, TheServerNameOfTls) {
  const std::string hello = ClientHello("Registry.example");
  EXPECT_EQ(Seen(hello), "registry.example");
  EXPECT_EQ(Seen(hello + "more"), "registry.example");
  ExpectMoreBefore(hello, hello.size());
  EXPECT_EQ(Seen(ClientHello("")), "");
  EXPECT_EQ(Seen(ClientHello("198.51.100.7")), "198.51.100.7") << "kept, though it is no name";
}

TEST(FirstBytesTest, AHelloSpreadOverRecords) {
  const std::string hello = ClientHello("registry.example");
  const std::string content = hello.substr(5);
  for (const std::size_t cut : {1u, 3u, 4u, 40u, 70u}) {
    std::string spread;
    for (const std::string& part : {content.substr(0, cut), content.substr(cut)}) {
      spread += std::string("\x16\x03\x01", 3);
      Put16(spread, static_cast<unsigned>(part.size()));
      spread += part;
    }
    EXPECT_EQ(Seen(spread), "registry.example") << cut;
    ExpectMoreBefore(spread, spread.size());
  }
}

TEST(FirstBytesTest, TlsThatMakesNoSenseIsBad) {
  const std::string hello = ClientHello("registry.example");
  const auto changed = [&](std::size_t at, char value) {
    std::string bytes = hello;
    bytes[at] = value;
    return Seen(bytes);
  };
  EXPECT_EQ(changed(5, 2), "?") << "not the client's";
  EXPECT_EQ(changed(6, 1), "?") << "longer than any";
  EXPECT_EQ(changed(4, 0), "?") << "an empty record";
  EXPECT_EQ(changed(5 + 4 + 34, 100), "?") << "a session id beyond its end";
  std::string twice = ClientHello("a.example");
  EXPECT_EQ(Seen(twice), "a.example");
}

TEST(FirstBytesTest, TheHostOfARequest) {
  const std::string request =
      "GET /a HTTP/1.1\r\nUser-Agent: x\r\nHost: Registry.example:8080\r\n\r\n";
  EXPECT_EQ(Seen(request), "registry.example");
  EXPECT_EQ(Seen(request + "body"), "registry.example");
  ExpectMoreBefore(request, request.size());
  EXPECT_EQ(Seen("\r\n\r\nGET / HTTP/1.1\nhOST:\tb.example \n\n"), "b.example");
  EXPECT_EQ(Seen("BREW\t/\tHTTP/1.1\r\nHost: b.example\r\n\r\n"), "b.example");
  EXPECT_EQ(Seen("GET / HTTP/1.0\r\n\r\n"), "");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nHost: 203.0.113.9\r\n\r\n"), "203.0.113.9");
  EXPECT_EQ(Seen("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "");
}

TEST(FirstBytesTest, EachPlaceOfTheNameCounts) {
  EXPECT_EQ(Seen("GET http://u@a.example:80/x HTTP/1.1\r\nHost: b.example\r\n\r\n"),
            "a.example b.example");
  EXPECT_EQ(Seen("CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n"),
            "a.example b.example");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
            "a.example b.example");
}

TEST(FirstBytesTest, BlanksBeforeARequestHideNothing) {
  for (const std::string_view blanks :
       {" ", "\t", "\r\n ", " \r\n", "\v", "\f", "    \t\r\n\r\n"}) {
    const std::string bytes = std::string(blanks) + "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    EXPECT_EQ(Seen(bytes), "a.example") << testing::PrintToString(bytes);
  }
  EXPECT_EQ(Seen(" \r\n "), "...");
}

TEST(FirstBytesTest, RequestsThatServersReadDifferentlyAreBad) {
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nHost : a.example\r\n\r\n"), "?");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nA: b\r\n Host: a.example\r\n\r\n"), "?");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nA: b\rHost: a.example\r\n\r\n"), "?");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nno colon\r\n\r\n"), "?");
  EXPECT_EQ(Seen("GET\r/ HTTP/1.1\r\nHost: a.example\r\n\r\n"), "");
  EXPECT_EQ(Seen(std::string("GET / HTTP/1.1\r\nA: \0b\r\n\r\n", 25)), "?");
  EXPECT_EQ(Seen("GET / HTTP/1.1\r\nX: " + std::string(kMaxFirstBytes, 'x')), "?");
}

TEST(FirstBytesTest, OtherProtocolsTellNothing) {
  for (const std::string& bytes :
       {std::string("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), std::string("EHLO a.example\r\n"),
        std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8),
        std::string("0032git-upload-pack /a\0host=b\0", 30), std::string("*1\r\n"),
        std::string("\x16\x01", 2), std::string("\x80\x2e\x01\x03", 4), std::string(40, 'x')}) {
    EXPECT_EQ(Seen(bytes), "") << bytes;
  }
  EXPECT_EQ(Seen(""), "...");
  EXPECT_EQ(Seen("SSH-2.0"), "...");
}

}  // namespace
}  // namespace pyro::net
