#include "proxy/http.h"

#include <gtest/gtest.h>

#include "proxy/testing/text_stream.h"

namespace pyro::proxy {
namespace {

using Kind = BodyForm::Kind;

// What a reader made of a text that came in pieces of `size` bytes.
template <bool kIsRequest>
struct Read {
  Result<bool> head = false;
  http::header<kIsRequest> fields;
  BodyForm form;
  std::string body;
  Status end;
};

template <bool kIsRequest>
Read<kIsRequest> ReadText(const std::string& text, std::size_t size = 7, bool bodiless = false) {
  Read<kIsRequest> read;
  TextStream stream(text, size);
  RunToEnd([&]() -> asio::awaitable<void> {
    Inbox inbox{&stream, {}};
    MessageReader<kIsRequest> reader(inbox, bodiless);
    read.head = co_await reader.ReadHead();
    if (!read.head || !*read.head) co_return;
    read.fields = reader.head();
    read.form = reader.body_form();
    while (true) {
      const Result<std::string_view> piece = co_await reader.ReadBody();
      if (!piece) {
        read.end = piece.error();
        co_return;
      }
      if (piece->empty()) co_return;
      read.body.append(*piece);
    }
  });
  return read;
}

TEST(HttpTest, ABodyIsReadHoweverItComes) {
  const std::string chunked =
      "POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\n";
  const std::string counted =
      "POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\r\nhello!";
  for (std::size_t size = 1; size < 100; ++size) {
    for (const std::string& text : {chunked, counted}) {
      const auto read = ReadText<true>(text, size);
      ASSERT_TRUE(read.head.ok() && *read.head) << size;
      EXPECT_EQ(read.body, "hello!") << size;
      EXPECT_TRUE(read.end.ok());
    }
  }
}

TEST(HttpTest, AnAnswerMayEndWithItsConnection) {
  const auto read = ReadText<false>("HTTP/1.1 200 OK\r\n\r\nall of it");
  EXPECT_EQ(read.form.kind, Kind::kUntilEnd);
  EXPECT_EQ(read.body, "all of it");
  EXPECT_TRUE(read.end.ok());
}

TEST(HttpTest, AnAnswerToHeadHasNoBody) {
  const auto read = ReadText<false>("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 7, true);
  EXPECT_EQ(read.body, "");
  EXPECT_TRUE(read.end.ok());
}

TEST(HttpTest, WhatIsCutOffIsAnError) {
  for (const char* text : {"GET / HT", "GET / HTTP/1.1\r\nHost: a.example\r\n"}) {
    EXPECT_FALSE(ReadText<true>(text).head.ok()) << text;
  }
  EXPECT_FALSE(ReadText<true>("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").end.ok());
  EXPECT_FALSE(
      ReadText<true>("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").end.ok());
  const auto nothing = ReadText<true>("");
  EXPECT_TRUE(nothing.head.ok() && !*nothing.head);
}

TEST(HttpTest, TwoWaysToTellALengthAreRefused) {
  for (const char* fields : {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                             "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: +3\r\n",
                             "Content-Length : 3\r\n"}) {
    const auto read = ReadText<true>(std::string("POST / HTTP/1.1\r\n") + fields + "\r\nabcd");
    EXPECT_FALSE(read.head.ok()) << fields;
  }
}

TEST(HttpTest, AHeadIsBounded) {
  const std::string line = "X-Long: " + std::string(1000, 'a') + "\r\n";
  std::string text = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 100; ++i) text += line;
  const auto read = ReadText<true>(text + "\r\n", 4096);
  ASSERT_FALSE(read.head.ok());
  EXPECT_EQ(read.head.error().code, ErrorCode::kLimit);
  const auto endless = ReadText<true>("GET /" + std::string(200'000, 'a'), 4096);
  ASSERT_FALSE(endless.head.ok());
  EXPECT_EQ(endless.head.error().code, ErrorCode::kLimit);
}

TEST(HttpTest, FieldsOfOneConnectionAreRemoved) {
  RequestHead head;
  head.method(http::verb::get);
  head.target("/");
  for (const char* name : {"Keep-Alive", "TE", "Upgrade", "Expect", "X-Mine", "Transfer-Encoding",
                           "Content-Length", "Proxy-Connection"}) {
    head.insert(name, "x");
  }
  head.insert("Connection", "close, X-Mine");
  head.insert("Accept", "*/*");
  RemoveHopFields(head);
  SetBodyForm(head, {Kind::kLength, 3});
  EXPECT_EQ(HeadText(head), "GET / HTTP/1.1\r\nAccept: */*\r\nContent-Length: 3\r\n\r\n");
}

TEST(HttpTest, PiecesAreFramed) {
  TextStream stream("", 1);
  RunToEnd([&]() -> asio::awaitable<void> {
    const BodyForm form{Kind::kChunked, 0};
    const Status piece = co_await WritePiece(stream, form, "0123456789abcdef");
    const Status end = co_await WriteEnd(stream, form);
    EXPECT_TRUE(piece.ok() && end.ok());
  });
  EXPECT_EQ(stream.written(), "10\r\n0123456789abcdef\r\n0\r\n\r\n");
}

}  // namespace
}  // namespace pyro::proxy
