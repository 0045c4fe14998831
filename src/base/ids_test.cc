#include "base/ids.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(IdTest, EncodesEveryBit) {
  std::array<std::uint8_t, 16> bits{};
  EXPECT_EQ(EncodeBase32(bits), std::string(26, 'a'));
  bits.fill(0xff);
  EXPECT_EQ(EncodeBase32(bits), std::string(25, '7') + "4");
  bits = {'f', 'o', 'o', 'b', 'a', 'r'};
  // RFC 4648 section 10, up to the padding.
  EXPECT_EQ(EncodeBase32(bits).substr(0, 9), "mzxw6ytbo");
}

TEST(IdTest, ParsesOnlyWholeIds) {
  const std::string good = "vm_" + std::string(26, 'a');
  EXPECT_TRUE(InstanceId::Parse(InstanceKind::kVm, good).ok());
  const std::vector<std::string> all_bad = {"",
                                            "vm_",
                                            good.substr(0, 12),
                                            good + "a",
                                            "task_" + std::string(26, 'a'),
                                            "vm_../../../../../etc/passwd_",
                                            "vm_" + std::string(25, 'a') + "/",
                                            "vm_" + std::string(26, 'A')};
  for (const std::string& bad : all_bad) {
    EXPECT_FALSE(InstanceId::Parse(InstanceKind::kVm, bad).ok()) << bad;
  }
}

TEST(IdTest, AnIdKnowsWhatItIsOf) {
  for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
    const InstanceId id = InstanceId::FromBits(kind, {});
    EXPECT_EQ(id.kind(), kind);
    EXPECT_EQ(InstanceId::Parse(kind, id.str())->kind(), kind);
    EXPECT_TRUE(id.str().starts_with(IdPrefix(kind)));
  }
}

TEST(IdTest, PrefixNeedsSixCharacters) {
  EXPECT_TRUE(IsIdPrefix("vm_abcdef", "vm_"));
  EXPECT_FALSE(IsIdPrefix("vm_abcde", "vm_"));
  EXPECT_FALSE(IsIdPrefix("vm_abc%ef", "vm_"));
}

}  // namespace
}  // namespace pyro
