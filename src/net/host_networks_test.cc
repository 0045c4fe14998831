#include "net/host_networks.h"

#include <gtest/gtest.h>

namespace pyro::net {
namespace {

// As Linux 6.1 writes them.
constexpr char kNone[] = "00000000000000000000000000000000";
constexpr char kDefault[] =
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n";
constexpr char kRefusal[] =
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
constexpr char kLink[] =
    "20010db8000100000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
constexpr char kTunnel[] =
    "20000000000000000000000000000000 03 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000400 00000001 00000000 00000001     tun0\n";
constexpr char kLinkLocal[] =
    "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0\n";
constexpr char kGlobal[] = "20010db8000100000000000000000005 04 40 00 00     eth0\n";

std::string Text(std::initializer_list<const char*> lines) {
  std::string text;
  for (const char* line : lines) text += line;
  return text;
}

TEST(HostNetworksTest, ADefaultRouteAndAGlobalAddressLeadOutside) {
  const HostIpv6 host =
      ReadHostIpv6(Text({kLink, kTunnel, kLinkLocal, kDefault, kRefusal}), kGlobal);
  EXPECT_TRUE(host.leads_outside);
  EXPECT_EQ(host.why_not, "");
  EXPECT_EQ(host.on_link, (std::vector<AddressRange>{{Address(0x20010db800010000, 0), 64}}));
}

TEST(HostNetworksTest, ARefusalIsNoRoute) {
  const HostIpv6 host = ReadHostIpv6(Text({kLink, kRefusal}), kGlobal);
  EXPECT_FALSE(host.leads_outside);
  EXPECT_EQ(host.why_not, "this host has no default route of IPv6");
}

TEST(HostNetworksTest, OtherAddressesThanGlobalOnesLeadNowhere) {
  for (const char* const address :
       {"fd000000000000000000000000000002 04 40 00 80     eth0\n",
        "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n",
        "00000000000000000000000000000001 01 80 10 80       lo\n",
        "20020a0000010000000000000000002 04 40 00 80     sit0\n",
        "20020a00000100000000000000000002 04 40 00 80     sit0\n",
        "20010db8000100000000000000000005 04 40 00 40     eth0\n",  // Tentative.
        "20010db8000100000000000000000005 04 40 00 20     eth0\n",  // Deprecated.
        "20010db8000100000000000000000005 04 40 00 08     eth0\n",  // Another host has it.
        "20010db8000100000000000000000005 04 40 00\n", "", "\n", "x"}) {
    const HostIpv6 host = ReadHostIpv6(kDefault, address);
    EXPECT_FALSE(host.leads_outside) << address;
    EXPECT_EQ(host.why_not, "this host has no global address of IPv6") << address;
  }
}

TEST(HostNetworksTest, WhatIsNoRouteIsLeftOut) {
  for (const std::string& text :
       {std::string(), std::string("\n\n"), std::string(kNone), std::string(200, 'f')}) {
    EXPECT_FALSE(ReadHostIpv6(text, kGlobal).leads_outside) << text;
  }
}

// On any host.
TEST(HostNetworksTest, TheLoopbackIsAnAddressOfThisHost) {
  EXPECT_TRUE(NetworksOfHost().Has(0x7f000001));
  const HostIpv6 host = Ipv6OfHost();
  EXPECT_EQ(host.leads_outside, host.why_not.empty());
}

}  // namespace
}  // namespace pyro::net
