#include "wire/supervisor_config.h"

#include <algorithm>
#include <iterator>

#include <gtest/gtest.h>

#include "base/json.h"

namespace pyro::wire {
namespace {

SupervisorConfig Example() {
  SupervisorConfig config;
  config.id = InstanceId::FromBits(InstanceKind::kVm, {}).str();
  config.state_dir = "/s";
  config.directory = "/s/vms/x";
  config.kernel = "/e/vmlinuz";
  config.initrd = "/e/initrd";
  config.base_disk = "/e/base.erofs";
  config.blank_disk = "/c/blank.img";
  config.vcpu_count = 3;
  config.mem_mib = 2048;
  config.network = true;
  config.net_program = "/p/pyro-net";
  config.ttl = std::chrono::seconds(7);
  config.dies_with_first_client = true;
  return config;
}

// Earlier texts do not have them.
constexpr const char* kMayLack[] = {
    "workspace_user", "stop_signal",         "layer_disks",        "network_rules",
    "secrets",        "proxy_program",       "download_routes",    "download_hosts",
    "only_cached",    "downloads_directory", "downloads_max_bytes"};

TEST(SupervisorConfigTest, RoundTrip) {
  SupervisorConfig config = Example();
  config.workspace_user = "app:staff";
  config.stop_signal = 37;
  config.layer_disks = {{"/e/layer-1.erofs"}, {"/e/layer-2.erofs"}};
  auto back = ParseSupervisorConfig(FormatSupervisorConfig(config));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(FormatSupervisorConfig(*back), FormatSupervisorConfig(config));
  EXPECT_EQ(back->workspace_user, "app:staff");
  EXPECT_EQ(back->stop_signal, 37);
  ASSERT_EQ(back->layer_disks.size(), 2U);
  EXPECT_EQ(back->layer_disks[1].path, "/e/layer-2.erofs");
}

TEST(SupervisorConfigTest, DownloadsNeedANetworkAndAPlace) {
  SupervisorConfig config = Example();
  config.proxy_program = "/p/pyro-proxy";
  config.download_routes = "@npm npm https://registry.example/\n";
  config.download_hosts = config.only_cached = "registry.example:443";
  config.downloads_directory = "/c/downloads";
  config.downloads_max_bytes = 1 << 30;
  const auto back = ParseSupervisorConfig(FormatSupervisorConfig(config));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->download_routes, config.download_routes);
  EXPECT_EQ(back->download_hosts, config.download_hosts);
  EXPECT_EQ(back->only_cached, config.only_cached);
  EXPECT_EQ(back->downloads_directory, config.downloads_directory);
  EXPECT_EQ(back->downloads_max_bytes, config.downloads_max_bytes);
  for (void (*spoil)(SupervisorConfig&) :
       {+[](SupervisorConfig& bad) { bad.network = false; },
        +[](SupervisorConfig& bad) { bad.proxy_program.clear(); },
        +[](SupervisorConfig& bad) { bad.downloads_directory.clear(); },
        +[](SupervisorConfig& bad) { bad.downloads_max_bytes = 0; },
        +[](SupervisorConfig& bad) { bad.kind = GuestKind::kTemplate; }}) {
    SupervisorConfig bad = config;
    spoil(bad);
    EXPECT_FALSE(ParseSupervisorConfig(FormatSupervisorConfig(bad)).ok());
  }
}

// Pools keep such texts: a later version must read them.
TEST(SupervisorConfigTest, TheTextOfVersionFourStays) {
  constexpr char kText[] =
      R"({"accelerator":"tcg","base_disk":"/e/base.erofs","blank_disk":"/c/blank.img",)"
      R"("boot_timeout_seconds":120,"detached":false,"dies_with_first_client":true,)"
      R"("directory":"/s/vms/x","id":"vm_aaaaaaaaaaaaaaaaaaaaaaaaaa","initrd":"/e/initrd",)"
      R"("kernel":"/e/vmlinuz","kind":"vm","mem_mib":2048,"net_program":"/p/pyro-net",)"
      R"("network":true,"spare_pool":"","state_dir":"/s","template":{"directory":"",)"
      R"("environment":"","environment_digest":"","key":""},"ttl_seconds":7,"vcpu_count":3,)"
      R"("version":4})";
  const auto back = ParseSupervisorConfig(kText);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(FormatSupervisorConfig(*back), FormatSupervisorConfig(Example()));
  Json later = *ParseJson(FormatSupervisorConfig(Example()));
  for (const char* key : {"next_directory", "next_key"}) {
    EXPECT_EQ(later["template"].erase(key), 1u) << key;
  }
  for (const char* key : kMayLack) EXPECT_EQ(later.erase(key), 1u) << key;
  EXPECT_EQ(ToJsonLine(later), kText);
}

TEST(SupervisorConfigTest, RefusesWhatIsIncompleteOrOutOfRange) {
  const Json good = *ParseJson(FormatSupervisorConfig(Example()));
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    if (std::ranges::find(kMayLack, key) != std::end(kMayLack)) continue;
    bad.erase(key);
    EXPECT_FALSE(ParseSupervisorConfig(bad.dump()).ok()) << key;
  }
  const std::vector<std::pair<const char*, Json>> changes = {
      {"version", 2},    {"id", "vm_../x"},   {"kind", "task"},         {"directory", "relative"},
      {"vcpu_count", 0}, {"mem_mib", 1},      {"accelerator", "turbo"}, {"ttl_seconds", 0},
      {"network", 1},    {"spare_pool", "x"}, {"blank_disk", "x"},
  };
  for (const auto& [key, value] : changes) {
    Json bad = good;
    bad[key] = value;
    EXPECT_FALSE(ParseSupervisorConfig(bad.dump()).ok()) << key;
  }
  EXPECT_FALSE(ParseSupervisorConfig("").ok());
  EXPECT_FALSE(ParseSupervisorConfig(std::string(kMaxConfigBytes + 1, ' ')).ok());
}

TEST(SupervisorConfigTest, OfAPoolItsDirectoryIsAllThatCounts) {
  SupervisorConfig config;
  config.kind = GuestKind::kSparePool;
  config.state_dir = "/s";
  config.directory = "/s/spares/x";
  config.detached = true;
  auto back = ParseSupervisorConfig(FormatSupervisorConfig(config));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->kind, GuestKind::kSparePool);
  EXPECT_EQ(back->directory, "/s/spares/x");
  EXPECT_TRUE(back->detached);
}

}  // namespace
}  // namespace pyro::wire
