#include "engine/secrets.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::engine {
namespace {

TEST(SecretsTest, TheFullFormSaysWhatWasLeftOut) {
  ::setenv("HOME", "/home/someone", 1);
  const struct {
    const char* text;
    const char* full;
  } kCases[] = {
      {"TOKEN=env:MINE for API.example", "TOKEN=env:MINE for api.example:443"},
      {"T=file:/a/../b for a.example:8443, b.example",
       "T=file:/b for a.example:8443,b.example:443"},
      {"T=file:~/key for a.example,a.example", "T=file:/home/someone/key for a.example:443"},
      {"T=file:/what is for whom for a.example", "T=file:/what is for whom for a.example:443"},
  };
  for (const auto& one : kCases) {
    const auto secret = ParseSecret(one.text);
    ASSERT_TRUE(secret.ok()) << one.text;
    EXPECT_EQ(FormatSecret(*secret), one.full);
  }
}

TEST(SecretsTest, WhatIsNoReferenceIsRefusedWithoutIt) {
  for (const char* text :
       {"", "a-value-by-mistake", "TOKEN=a-value-by-mistake for a.example",
        "1TOKEN=env:A for a.example", "TOKEN=env: for a.example", "TOKEN=env:A-B for a.example",
        "TOKEN=file: for a.example", "PATH=env:A for a.example", "LD_PRELOAD=env:A for a.example",
        "TOKEN=env:A", "TOKEN=env:A for ", "TOKEN=env:A for *.example", "TOKEN=env:A for 192.0.2.1",
        "TOKEN=env:A for a.example:0", "TOKEN=file:/a\nb for a.example"}) {
    const auto secret = ParseSecret(text);
    ASSERT_FALSE(secret.ok()) << text;
    EXPECT_EQ(secret.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(secret.error().message.find("by-mistake"), std::string::npos);
    EXPECT_FALSE(secret.error().hint.empty()) << text;
  }
}

TEST(SecretsTest, StoredReferencesComeBackWithTheirPlaceholders) {
  VmOptions options;
  options.secrets = {"A=env:MINE for a.example:443,b.example:8443",
                     "B=file:/a b for c.example:443"};
  const std::string text = SecretReferencesOf(options);
  const auto stored = ParseSecretReferences(text);
  ASSERT_TRUE(stored.ok()) << text;
  ASSERT_EQ(stored->size(), 2u);
  EXPECT_EQ(DescribeSecrets(text), options.secrets);
  EXPECT_TRUE(stored->at(0).placeholder.starts_with("pyro-secret-"));
  EXPECT_NE(stored->at(0).placeholder, stored->at(1).placeholder);
  EXPECT_NE(SecretReferencesOf(options), text) << "another guest has others";
  for (const char* bad : {"A", "A p", "A p h:1", "A p a.example:443 value\n"}) {
    EXPECT_FALSE(ParseSecretReferences(bad).ok()) << bad;
  }
}

TEST(SecretsTest, AValueIsReadWithoutTheEndOfItsLine) {
  const sys::TestDirectory directory;
  const std::string file = directory.path() / "token";
  const std::string reference = "A pyro-secret-1 a.example:443 file:" + file + "\n";
  ASSERT_TRUE(sys::WriteFileAtomically(file, "value-of-it\r\n", 0600).ok());
  const auto values = ReadSecretValues(reference);
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(values->at(0).value, "value-of-it");
  EXPECT_EQ(values->at(0).hosts, "a.example:443");
  ASSERT_TRUE(sys::WriteFileAtomically(file, "two\nlines-of-it\n", 0600).ok());
  const auto lines = ReadSecretValues(reference);
  ASSERT_FALSE(lines.ok());
  EXPECT_EQ(lines.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(lines.error().message.find("lines-of-it"), std::string::npos);
  ASSERT_TRUE(sys::WriteFileAtomically(file, std::string(5000, 'a'), 0600).ok());
  EXPECT_FALSE(ReadSecretValues(reference).ok());
  std::filesystem::remove(file);
  const auto gone = ReadSecretValues(reference);
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(ReadSecretValues(reference).error().code, ErrorCode::kInvalidArgument);
}

TEST(SecretsTest, TheirHostsAreAllThatIsReachedUnlessMoreIsAsked) {
  ::setenv("PYRO_TEST_SECRET", "value-of-it", 1);
  const auto resolve = [](VmOptions options) {
    options.secrets = {"A=env:PYRO_TEST_SECRET for a.example"};
    const Status resolved = ResolveSecrets(options);
    EXPECT_TRUE(resolved.ok()) << resolved.error().message;
    EXPECT_TRUE(options.network);
    return options.allow;
  };
  using Rules = std::vector<std::string>;
  EXPECT_EQ(resolve({}), (Rules{"a.example:443"}));
  EXPECT_EQ(resolve({.network = true}), Rules());
  EXPECT_EQ(resolve({.network = true, .allow = {"b.example"}}),
            (Rules{"b.example", "a.example:443"}));
  VmOptions host;
  host.allow_host_compat = true;
  host.secrets = {"A=env:PYRO_TEST_SECRET for a.example"};
  EXPECT_FALSE(ResolveSecrets(host).ok());
  VmOptions twice;
  twice.secrets = {"A=env:PYRO_TEST_SECRET for a.example", "A=env:PYRO_TEST_SECRET for b.example"};
  EXPECT_FALSE(ResolveSecrets(twice).ok());
}

}  // namespace
}  // namespace pyro::engine
