// Hosts that the proxy serves, as the guest sees them.

#include "net/served.h"

#include <gtest/gtest.h>

#include "net/control.h"
#include "net/testing/egress_fixture.h"

namespace pyro::net {
namespace {

constexpr Ipv4 kApi = kFirstServed;

TEST(ServedHostsTest, ANameKeepsItsAddressWhenOthersComeAndGo) {
  ServedHosts hosts;
  EXPECT_FALSE(hosts.Has(kFirstServed)) << "of the outside, while there is no host";
  hosts.Set({{"a.example", 443}, {"b.example", 443}, {"a.example", 80}});
  EXPECT_EQ(hosts.AddressOf("b.example"), kFirstServed + 1);
  hosts.Set({{"c.example", 443}, {"b.example", 443}});
  EXPECT_EQ(hosts.AddressOf("b.example"), kFirstServed + 1);
  EXPECT_EQ(hosts.AddressOf("c.example"), kFirstServed + 2);
  EXPECT_EQ(hosts.AddressOf("a.example"), std::nullopt);
  EXPECT_EQ(*hosts.NameAt(kFirstServed), "a.example");
  EXPECT_EQ(hosts.NameAt(kFirstServed + 3), nullptr);
  EXPECT_EQ(hosts.NameAt(kFirstServed - 1), nullptr);
  EXPECT_TRUE(hosts.Serves("c.example", 443));
  EXPECT_FALSE(hosts.Serves("c.example", 80));
}

TEST(ServedHostsTest, OrdersAndConnectionsComeBackAsTheyWere) {
  GateOrders orders;
  orders.served = {{"a.example", 443}, {"b.example", 80}};
  const auto parsed = ParseGateOrders(FormatGateOrders(orders));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->served, orders.served);
  const auto connection = ParseGuestConnection(FormatGuestConnection({"a.example", 22, true}));
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->name, "a.example");
  EXPECT_EQ(connection->port, 22);
  EXPECT_TRUE(connection->tunnel);
  for (const char* bad : {"", "{}", R"({"host":"a.example","tunnel":true})",
                          R"({"host":"192.0.2.1:1","tunnel":true})",
                          R"({"host":"*.example:1","tunnel":true})", R"({"host":"a.example:1"})"}) {
    EXPECT_FALSE(ParseGuestConnection(bad).ok()) << bad;
  }
}

class ServedTest : public EgressTest {
 protected:
  ServedTest() { egress_.SetServed({{"api.example", 443}}); }
};

TEST_F(ServedTest, ItsNameHasAnAddressInTheGateUnderAnyRules) {
  for (const char* rules : {"", "allow registry.example", "allow *"}) {
    Use(rules);
    Clear();
    Guest(AskFrame("api.example"));
    EXPECT_TRUE(to_outside_.empty()) << "the resolver is not asked";
    ASSERT_TRUE(Answered().has_value()) << rules;
    EXPECT_EQ(Answered()->addresses, std::vector<Address>{kApi});
    Clear();
    Guest(AskFrame("api.example", kTypeAaaa));
    EXPECT_TRUE(to_outside_.empty());
    EXPECT_EQ(to_guest_.size(), 1u) << "an answer without an address";
  }
  Use("deny api.example");
  Clear();
  Guest(AskFrame("api.example"));
  EXPECT_EQ(Answered()->code, DnsCode::kNoSuchName);
}

TEST_F(ServedTest, ItsPortGoesToTheProxyAndNothingElseDoes) {
  Use("allow api.example:443");
  Connect(kApi, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_EQ(to_served_.size(), 1u);
  EXPECT_TRUE(to_outside_.empty());
  Connect(kApi, 80);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset());
  EXPECT_TRUE(to_served_.empty());
  Connect(kApi + 1, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "an address of no name";
  Clear();
  Guest(MakeUdp(kFromGuest, {kGuest, 40000, kApi, 443}, "quic"));
  EXPECT_TRUE(GuestWasToldItIsProhibited());
  EXPECT_TRUE(to_served_.empty() && to_outside_.empty());
}

TEST_F(ServedTest, OtherPortsOfItGoThereIfTheRulesAllowThem) {
  Use("");
  Connect(kApi, 22);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_EQ(to_served_.size(), 1u) << "an open network";
  Use("allow api.example:22");
  Connect(kApi, 22);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_EQ(to_served_.size(), 1u);
  EXPECT_TRUE(to_outside_.empty());
  Use("deny api.example:443\nallow *");
  Connect(kApi, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_TRUE(GuestWasReset()) << "a rule denies it";
}

TEST_F(ServedTest, WithoutSuchHostsTheRangeIsOfTheOutside) {
  egress_.SetServed({});
  Use("");
  Connect(kApi, 443);
  Guest(Tcp(100, kTcpSyn));
  EXPECT_EQ(to_outside_.size(), 1u);
  EXPECT_TRUE(to_served_.empty());
}

}  // namespace
}  // namespace pyro::net
