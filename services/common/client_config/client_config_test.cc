#include "services/common/client_config/client_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "services/common/base/files/file.h"

namespace riseml {
namespace {

using testing::HasSubstr;

constexpr char kPem[] = "-----BEGIN CERTIFICATE-----\nabc=\n-----END CERTIFICATE-----\n";

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-config-XXXXXX";
    dir_ = mkdtemp(pattern);
    path_ = dir_ + "/sub/config";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void Write(const std::string& text, int mode = 0600) {
    ASSERT_TRUE(MakeDirectories(dir_ + "/sub").ok());
    ASSERT_TRUE(WriteFileAtomically(path_, text, mode).ok());
  }

  std::string dir_, path_;
  const ClientConfig config_ = {
      .cluster_id = "c-1", .api_address = "127.0.0.1:7070", .ca_pem = kPem, .user = "paul", .api_key = "rml_a: #key"};
};

TEST_F(ConfigTest, WhatIsSavedIsReadBackAndPrivate) {
  ASSERT_TRUE(SaveClientConfig(path_, config_).ok());
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto read = LoadClientConfig(path_, "");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->context, "default");
  EXPECT_EQ(read->cluster_id, "c-1");
  EXPECT_EQ(read->api_address, "127.0.0.1:7070");
  EXPECT_EQ(read->ca_pem, kPem);
  EXPECT_EQ(read->user, "paul");
  EXPECT_EQ(read->api_key, "rml_a: #key");
}

TEST_F(ConfigTest, OtherContextsAndUnknownKeysStay) {
  ASSERT_TRUE(SaveClientConfig(path_, config_).ok());
  ClientConfig other = config_;
  other.context = "lab";
  other.user = "anna";
  ASSERT_TRUE(SaveClientConfig(path_, other, CurrentContext::kKeep).ok());
  EXPECT_EQ(LoadClientConfig(path_, "")->context, config_.context);
  ASSERT_TRUE(SaveClientConfig(path_, other).ok());
  EXPECT_EQ(LoadClientConfig(path_, "")->user, "anna");
  EXPECT_EQ(LoadClientConfig(path_, "default")->user, "paul");
  other.user = "eva";
  ASSERT_TRUE(SaveClientConfig(path_, other).ok());
  EXPECT_EQ(LoadClientConfig(path_, "lab")->user, "eva");
}

TEST_F(ConfigTest, AFileOthersMayReadIsRefusedWithTheRemedy) {
  Write("current-context: x\n", 0640);
  const absl::Status status = LoadClientConfig(path_, "").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("chmod 600 " + path_));
}

TEST_F(ConfigTest, AnAbsentFileIsNotFound) { EXPECT_TRUE(absl::IsNotFound(LoadClientConfig(path_, "").status())); }

TEST_F(ConfigTest, BrokenYamlIsRefusedWithItsLine) {
  Write("a: b\nc: [\n");
  EXPECT_THAT(std::string(LoadClientConfig(path_, "").status().message()), HasSubstr("line "));
}

TEST_F(ConfigTest, AFileOfVersionOneAsksForALogin) {
  Write(
      "current-context: default\ncontexts: [{name: default, context: {cluster: default, user: default}}]\n"
      "clusters: [{name: default, cluster: {host: h, ports: {web: 31213}}}]\n"
      "users: [{name: default, user: {name: paul, api-key: k}}]\n");
  EXPECT_THAT(std::string(LoadClientConfig(path_, "").status().message()), HasSubstr("riseml user login"));
}

TEST_F(ConfigTest, TheCertificateMayLieInAFileBesideTheConfiguration) {
  Write(
      "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n"
      "clusters: [{name: b, cluster: {api-address: 'h:1', ca-file: ca.crt}}]\nusers: [{name: c, user: {api-key: "
      "k}}]\n");
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/sub/ca.crt", kPem).ok());
  const auto read = LoadClientConfig(path_, "");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ca_pem, kPem);
}

TEST_F(ConfigTest, AnUnknownContextIsNamed) {
  ASSERT_TRUE(SaveClientConfig(path_, config_).ok());
  EXPECT_THAT(std::string(LoadClientConfig(path_, "nope").status().message()), HasSubstr("'nope'"));
}

}  // namespace
}  // namespace riseml
