#include "engine/settings.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

Error ErrorOf(std::string_view text) {
  const auto parsed = Settings::Parse(text);
  EXPECT_FALSE(parsed.ok()) << text;
  return parsed ? Error{} : parsed.error();
}

TEST(SettingsTest, ALineIsASettingAndTheRestIsKept) {
  const std::string text = "# mine\n\n  machine=tcg # while I look for a host\n";
  auto settings = Settings::Parse(text);
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings->ValueOf("machine"), "tcg");
  EXPECT_EQ(settings->Format(), text);
  ASSERT_TRUE(settings->Set("machine", "kvm").ok());
  EXPECT_EQ(settings->Format(), "# mine\n\nmachine = kvm\n");
  ASSERT_TRUE(settings->Unset("machine").ok());
  EXPECT_EQ(settings->Format(), "# mine\n\n");
  EXPECT_EQ(settings->ValueOf("machine"), "");
  EXPECT_EQ(Settings::Parse("")->Format(), "");
}

TEST(SettingsTest, WhatIsNoSettingIsRefusedWithItsLineAndTheNearestWord) {
  EXPECT_EQ(ErrorOf("machine = tcg\nmachin = kvm\n").message,
            "line 2: there is no setting 'machin'");
  EXPECT_EQ(ErrorOf("machin = kvm").hint, "did you mean 'machine'?");
  EXPECT_EQ(ErrorOf("machine = kv").message, "line 1: machine cannot be 'kv'");
  EXPECT_EQ(ErrorOf("machine = kv").hint, "did you mean 'kvm'?");
  EXPECT_NE(ErrorOf("machine =").hint.find("auto, kvm, tcg, usermode"), std::string::npos);
  EXPECT_EQ(ErrorOf("machine = tcg\nmachine = tcg").message, "line 2: machine is there twice");
  EXPECT_EQ(ErrorOf("machine tcg").message, "line 1: 'machine tcg' is no setting");
  EXPECT_EQ(ErrorOf(std::string("machine = t\0cg", 14)).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf(std::string(kMaxSettingsBytes + 1, '#')).code, ErrorCode::kInvalidArgument);
}

class SettingsFileTest : public ::testing::Test {
 protected:
  void Write(std::string_view text) {
    fs::create_directories(file_.parent_path());
    std::ofstream(file_) << text;
    ::chmod(file_.c_str(), 0600);
  }

  sys::TestDirectory directory_;
  fs::path file_ = directory_.path() / "some" / "config";
};

TEST_F(SettingsFileTest, IsMadeForItsUserAlone) {
  EXPECT_EQ(ReadSettings(file_)->ValueOf("machine"), "");
  const auto set = [](Settings& settings) { return settings.Set("machine", "tcg"); };
  ASSERT_TRUE(ChangeSettings(file_, set).ok());
  EXPECT_EQ(ReadSettings(file_)->ValueOf("machine"), "tcg");
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms(0600));
  EXPECT_EQ(fs::status(file_.parent_path()).permissions(), fs::perms(0700));
  EXPECT_EQ(ChangeSettings({}, set).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(ReadSettings({}).ok());
}

TEST_F(SettingsFileTest, ThatOthersMayWriteIsNotUsed) {
  Write("machine = tcg\n");
  for (const mode_t mode : {0622U, 0620U, 0602U}) {
    ::chmod(file_.c_str(), mode);
    const auto settings = ReadSettings(file_);
    ASSERT_FALSE(settings.ok()) << mode;
    EXPECT_NE(settings.error().message.find("other users may write it"), std::string::npos);
    EXPECT_NE(settings.error().hint.find("chmod go-w"), std::string::npos);
  }
  ::chmod(file_.c_str(), 0644);
  EXPECT_TRUE(ReadSettings(file_).ok());
}

TEST_F(SettingsFileTest, ThatBelongsToAnotherUserIsNotUsed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  Write("machine = tcg\n");
  constexpr uid_t kOther = 61100;
  ASSERT_EQ(::chown(file_.c_str(), kOther, kOther), 0);
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool another = ::chmod(directory_.path().c_str(), 0755) == 0 &&
                         ::chmod(file_.parent_path().c_str(), 0755) == 0 &&
                         ::seteuid(kOther + 1) == 0;
    const auto settings = ReadSettings(file_);
    ::_exit(another && !settings &&
                    settings.error().message.find("belongs to another user") != std::string::npos
                ? 0
                : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(SettingsFileTest, OfTwoChangesAtOnceBothStay) {
  const auto change = [this](const char* name, const char* value) {
    return ChangeSettings(file_, [&](Settings& settings) { return settings.Set(name, value); });
  };
  for (int round = 0; round < 100; ++round) {
    std::thread other([&] { EXPECT_TRUE(change(kWithoutKvm.data(), "usermode").ok()); });
    EXPECT_TRUE(change("machine", "tcg").ok());
    other.join();
    const auto settings = ReadSettings(file_);
    EXPECT_EQ(settings->ValueOf("machine"), "tcg");
    EXPECT_EQ(settings->ValueOf(kWithoutKvm), "usermode");
    fs::remove(file_);
  }
}

TEST_F(SettingsFileTest, ThatIsALinkStaysOne) {
  Write("machine = tcg\n");
  const fs::path real = directory_.path() / "elsewhere";
  fs::rename(file_, real);
  fs::create_symlink(real, file_);
  const auto changed =
      ChangeSettings(file_, [](Settings& settings) { return settings.Set("machine", "auto"); });
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_TRUE(fs::is_symlink(file_));
  EXPECT_EQ(*sys::ReadFile(real, 100), "machine = auto\n");
}

TEST_F(SettingsFileTest, ThatIsNoneIsNamed) {
  Write("machine = tgc\n");
  EXPECT_EQ(ReadSettings(file_).error().message,
            file_.native() + ": line 1: machine cannot be 'tgc'");
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_EQ(ReadSettings(file_).error().message, file_.native() + " is no regular file");
}

}  // namespace
}  // namespace pyro::engine
