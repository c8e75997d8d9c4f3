// A fake cluster, a configuration that leads to it, and the real program.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/testing/fake_cluster.h"
#include "cli/testing/program.h"
#include "services/common/base/files/file.h"
#include "services/common/client_config/client_config.h"

namespace riseml::cli {

inline constexpr char kGoodSpec[] =
    "project: census\n"
    "train:\n"
    "  image: python:3.11\n"
    "  resources: {cpus: 1, mem: 512, gpus: 0}\n"
    "  run: python run.py\n";

class CliTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-cli-XXXXXX";
    dir_ = mkdtemp(pattern);
    ASSERT_TRUE(MakeDirectories(dir_ + "/certificates").ok());
    ASSERT_TRUE(MakeDirectories(project_dir()).ok());
    cluster_ = std::make_unique<FakeCluster>(dir_ + "/certificates");
    config_ = {.cluster_id = "c0ffee",
               .api_address = cluster_->address(),
               .ca_pem = cluster_->ca_pem(),
               .user = "paul",
               .api_key = kFakeKey};
    ASSERT_TRUE(SaveClientConfig(config_path(), config_).ok());
    variables_ = {{"HOME", dir_}, {"RISEML_CONFIG", config_path()}, {"LANG", "C.UTF-8"}, {"PATH", "/usr/bin:/bin"}};
  }
  void TearDown() override {
    cluster_.reset();
    std::filesystem::remove_all(dir_);
  }

  std::string config_path() const { return dir_ + "/config"; }
  std::string project_dir() const { return dir_ + "/census"; }
  FakeContent& content() { return cluster_->content(); }

  void WriteProject(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(project_dir() + "/" + name, text).ok());
  }
  std::unique_ptr<Program> Start(const std::vector<std::string>& arguments, const std::string& input = "") {
    return std::make_unique<Program>(RISEML_PROGRAM, arguments, variables_, project_dir(), input);
  }
  Finished Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    return Start(arguments, input)->Finish();
  }

  std::string dir_;
  std::unique_ptr<FakeCluster> cluster_;
  ClientConfig config_;
  std::map<std::string, std::string> variables_;
};

}  // namespace riseml::cli
