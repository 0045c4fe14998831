#include "base/mask.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

constexpr char kValue[] = "s3cret-value-of-a-key";

Mask OneValue() {
  Mask mask;
  mask.Add("KEY", kValue);
  return mask;
}

TEST(MaskTest, AValueIsHiddenAndNoLengthChanges) {
  const std::string text = std::string("a ") + kValue + " b";
  const std::string masked = OneValue().Hide(text);
  EXPECT_EQ(masked, "a [secret KEY]********* b");
  EXPECT_EQ(masked.size(), text.size());
}

TEST(MaskTest, ValuesThatOverlapAreBothHidden) {
  Mask mask;
  mask.Add("A", "abcabcab");
  mask.Add("B", "cabxyzxyz");
  const std::string masked = mask.Hide("abcabcabxyzxyz");
  for (const char* part : {"abc", "cab", "xyz"}) {
    EXPECT_EQ(masked.find(part), std::string::npos) << masked;
  }
}

TEST(MaskTest, AValueThatOverlapsItselfIsHiddenWhole) {
  Mask mask;
  mask.Add("A", "xyxyxyxy");
  EXPECT_EQ(mask.Hide("xyxyxyxyxy").find("xy"), std::string::npos);
}

TEST(MaskedStreamTest, AValueIsHiddenHoweverItIsCut) {
  const Mask mask = OneValue();
  const std::string text = std::string("begin s3cret ") + kValue + kValue + " s3cret-va end";
  const std::string whole = mask.Hide(text);
  for (std::size_t size = 1; size <= text.size(); ++size) {
    MaskedStream stream(mask);
    std::string got;
    for (std::size_t at = 0; at < text.size(); at += size)
      got += stream.Feed(text.substr(at, size));
    got += stream.End();
    ASSERT_EQ(got, whole) << size;
  }
}

TEST(MaskedStreamTest, TextThatBeginsNoValueIsNotKeptBack) {
  const Mask mask = OneValue();
  MaskedStream stream(mask);
  EXPECT_EQ(stream.Feed("prompt> "), "prompt> ");
  EXPECT_EQ(stream.Feed("s3cret"), "");
  EXPECT_EQ(stream.Feed("ly"), "s3cretly");
  EXPECT_EQ(stream.End(), "");
}

TEST(MaskedStreamTest, WhatIsHiddenInAKeptEndStaysHidden) {
  Mask mask;
  mask.Add("A", "xyzxyzxy");
  MaskedStream stream(mask);
  std::string got = stream.Feed("xyzxyzxy");
  got += stream.Feed("z!");
  got += stream.End();
  EXPECT_EQ(got.find("xy"), std::string::npos) << got;
  EXPECT_EQ(got.size(), 10u);
}

}  // namespace
}  // namespace pyro
