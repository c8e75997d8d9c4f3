// Fixture for contract tests of jobs in containers: a node with Podman, and images made without a network.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/launch/podman.h"
#include "services/agent/node/node_fixture.h"
#include "services/agent/process/program.h"
#include "services/common/archive/testing.h"

namespace riseml::agent::testing {

class ContainerNodeTest : public NodeTest {
 protected:
  void SetUp() override {
    auto podman = Podman::Open(StorageDir());
    const absl::Status works = podman.ok() ? (*podman)->Probe(RISEML_JOB, LookAtSystem({}, "")) : podman.status();
    if (!works.ok()) {
      if (podman.ok()) EXPECT_TRUE(RemoveTree((*podman)->run_dir()).ok());
      GTEST_SKIP() << "no containers on this machine: " << works;
    }
    podman_ = *std::move(podman);
    more_config_ = absl::StrCat("podman:\n  storage_dir: ", StorageDir(), "\n", podman_config_);
    NodeTest::SetUp();
  }

  void TearDown() override {
    if (podman_ != nullptr) {
      node_.reset();
      const auto containers = podman_->ListContainers({});
      EXPECT_TRUE(containers.ok()) << containers.status();
      if (containers.ok())
        for (const std::string& name : *containers) podman_->RemoveContainer(name, {}).IgnoreError();
    }
    NodeTest::TearDown();
    if (podman_ != nullptr) EXPECT_TRUE(RemoveTree(podman_->run_dir()).ok());
  }

  std::string StorageDir() const { return directory_ / "podman"; }

  // Runs a command of Podman on the storage of the node.
  ProgramResult RunPodman(const std::vector<std::string>& arguments) {
    ProgramRequest request{.argv = podman_->Words(), .environment = podman_->Environment()};
    request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
    const auto result = RunProgram(request);
    EXPECT_TRUE(result.ok() && result->exit_code == 0) << result.status() << (result.ok() ? result->errors : "");
    return result.ok() ? *result : ProgramResult();
  }

  // Adds an image with busybox, and with /code, to the storage of the node.
  void MakeImage(const std::string& name, bool shell = true) {
    std::vector<TarEntry> entries = {{"code/hello.txt", "hello from the image\n"}, {"etc/os-release", "ID=test\n"}};
    if (shell) {
      entries.push_back({"bin/busybox", ReadAll("/bin/busybox"), '0', "", 0755});
      for (const char* applet :
           {"cat", "chmod", "dd", "echo",  "env",  "grep", "head",  "id",   "kill",   "ls", "mkdir",
            "nc",  "ps",    "sh", "sleep", "stat", "tail", "touch", "true", "ulimit", "wc"})
        entries.push_back({absl::StrCat("bin/", applet), "", '2', "busybox"});
    }
    for (const auto& [path, content] : LibrariesOfJobProgram()) entries.push_back({path, content, '0', "", 0755});
    const std::string archive = directory_ / "image.tar";
    WriteAll(archive, MakeTar(entries));
    RunPodman({"import", "--change", "ENV PATH=/opt/image:/bin", "--change", "ENV MADE_BY=image", archive, name});
    std::filesystem::remove(archive);
  }

  StartAttemptRequest ContainerJob(const std::vector<std::string>& commands,
                                   const std::string& image = "localhost/busybox:latest") {
    StartAttemptRequest start = Job(commands);
    start.mutable_image()->set_reference(image);
    return start;
  }

 private:
  // Shared libraries of riseml-job, which has none in a release.
  static std::map<std::string, std::string> LibrariesOfJobProgram() {
    std::map<std::string, std::string> libraries;
    const auto listed = RunProgram({.argv = {"/usr/bin/ldd", RISEML_JOB}, .environment = {"PATH=/usr/bin:/bin"}});
    if (!listed.ok() || listed->exit_code != 0) return libraries;
    for (const absl::string_view line : absl::StrSplit(listed->output, '\n'))
      for (const absl::string_view word : absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty()))
        if (word[0] == '/') libraries.emplace(word.substr(1), ReadAll(std::string(word)));
    return libraries;
  }

 protected:
  std::string podman_config_;  // further lines of YAML
  std::unique_ptr<Podman> podman_;
};

}  // namespace riseml::agent::testing
