// Plans of images: keys, and the commands, which a shell runs here with a buildah that prints what the real one prints.
#include "services/builder/image/image_plan.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace riseml::builder {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

ImageInputs Example() {
  ImageInputs inputs;
  inputs.owner_uid = "11111111-1111-4111-8111-111111111111";
  inputs.base = {"docker.io", "library/python", "3.11", absl::StrCat("sha256:", std::string(64, 'b'))};
  inputs.install = {"pip install -r requirements.txt", "echo two\necho three"};
  inputs.code.ids = {{"requirements.txt", std::string(40, 'a')}, {"pkg/", ""}, {"odd name/", std::string(40, 'c')}};
  return inputs;
}

ImageTarget Target() {
  return {.reference = "127.0.0.1:5000/user/environments:key",
          .plain_http = true,
          .credentials = {{"127.0.0.1:5000", {"build", "s3cr3t"}}}};
}

TEST(ImageKey, IsDecidedByWhatDecidesTheContent) {
  const std::function<void(ImageInputs&)> changes[] = {
      [](ImageInputs& i) { i.owner_uid = "22222222-1111-4111-8111-111111111111"; },
      [](ImageInputs& i) { i.base.digest = absl::StrCat("sha256:", std::string(64, 'c')); },
      [](ImageInputs& i) { i.install.pop_back(); },
      [](ImageInputs& i) { std::swap(i.install[0], i.install[1]); },
      [](ImageInputs& i) { i.code.ids["requirements.txt"] = std::string(40, 'd'); },
      [](ImageInputs& i) { i.code.tree = "all"; },
      [](ImageInputs& i) { i.rebuild = "33333333-3333-4333-8333-333333333333"; }};
  std::set<std::string> keys = {KeyOf(Example())};
  for (const auto& change : changes) {
    ImageInputs inputs = Example();
    change(inputs);
    EXPECT_TRUE(keys.insert(KeyOf(inputs)).second);
  }
  ImageInputs other_tag = Example();
  other_tag.base.tag = "latest";
  EXPECT_EQ(KeyOf(other_tag), KeyOf(Example())) << "the name of the same image";
}

// Runs the commands of a build in one shell, as `riseml-agent` does.
class ImageBuildTest : public ::testing::Test {
 protected:
  ImageBuildTest() {
    char pattern[] = "/tmp/riseml-image-plan-XXXXXX";
    dir_ = mkdtemp(pattern);
    for (const char* name : {"/home", "/bin", "/code/pkg", "/code/odd name", "/code/other"})
      fs::create_directories(dir_ + name);
    for (const char* name : {"requirements.txt", "train.py", "riseml.yml", "pkg/mod.py", "odd name/x", "other/y"})
      std::ofstream(absl::StrCat(dir_, "/code/", name)) << name;
  }
  ~ImageBuildTest() override { fs::remove_all(dir_); }

  // The text that `buildah bud` prints, and its exit code.
  void Buildah(const std::string& text, int exit_code) {
    std::ofstream(dir_ + "/printed") << text;
    std::ofstream(dir_ + "/bin/buildah") << "#!/bin/sh\necho \"$@\" >> " << dir_
                                         << "/calls\n[ \"$1\" != bud ] && exit 0\ncat " << dir_ << "/printed\nexit "
                                         << exit_code << "\n";
    fs::permissions(dir_ + "/bin/buildah", fs::perms::owner_all);
  }
  // Returns the output. Stops at the first command that fails, and notes its exit code.
  std::string Run(const ImageInputs& inputs) {
    std::string script = "set -u\n";
    for (const Step& step : StepsOf(inputs, KeyOf(inputs), target_))
      absl::StrAppend(&script, step.command, "\n[ $? = 0 ] || exit 7\n");
    std::ofstream(dir_ + "/script") << script;
    FILE* pipe = popen(absl::StrCat("cd ", dir_, "/code && env -i ", variables_, " RISEML_LAYERS=", dir_,
                                    " HOME=", dir_, "/home PATH=", dir_, "/bin:/usr/bin:/bin bash ", dir_,
                                    "/script 2>&1", follow_.empty() ? "" : absl::StrCat(" | { ", follow_, "; }"))
                           .c_str(),
                       "r");
    std::string output;
    char buffer[4096];
    while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
    exit_code_ = WEXITSTATUS(pclose(pipe));
    return output;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(dir_ + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string dir_;
  ImageTarget target_ = Target();
  std::string variables_;  // of the build, for the shell
  std::string follow_;     // command that the output goes through
  int exit_code_ = -1;
};

TEST_F(ImageBuildTest, StepsAreShownAndTheImageIsSent) {
  Buildah(
      "STEP 1/5: FROM docker.io/library/python\nTrying to pull\nSTEP 2/5: WORKDIR /code\nSTEP 3/5: COPY . /code/\n"
      "STEP 4/5: RUN --mount=x [\"/bin/sh\"]\n--> Using cache 1234\n--> 1234\nSTEP 5/5: RUN [\"/bin/sh\"]\ntwo\n"
      "COMMIT riseml-environment\n--> 99\n",
      0);
  const std::string output = Run(Example());
  EXPECT_EQ(exit_code_, 0) << output;
  EXPECT_THAT(output, HasSubstr("  base image: docker.io/library/python:3.11@sha256:bbb"));
  EXPECT_THAT(output, HasSubstr("Trying to pull\n==> step 1 of 2: pip install -r requirements.txt\n"
                                "    taken from an earlier build\n==> step 2 of 2: echo two echo three\ntwo\n"));
  EXPECT_THAT(output, Not(HasSubstr("COMMIT")));
  EXPECT_THAT(output, Not(HasSubstr("s3cr3t")));
  const std::string calls = Read("/calls");
  EXPECT_THAT(calls,
              HasSubstr(absl::StrCat("bud --format oci --layers -v ", dir_, "/home/settings:/run/riseml-settings:ro")));
  EXPECT_THAT(calls, HasSubstr(absl::StrCat("--authfile ", dir_, "/home/registries.json")));
  EXPECT_THAT(calls, HasSubstr("docker://127.0.0.1:5000/user/environments:key"));
  EXPECT_THAT(Read("/home/Containerfile"),
              HasSubstr(absl::StrCat("FROM docker.io/library/python@", Example().base.digest)));
  EXPECT_EQ(fs::status(dir_ + "/home/registries.json").permissions(), fs::perms(0600));
}

TEST_F(ImageBuildTest, StepsWithoutANetworkFindTheBaseThatWasPulled) {
  Buildah("STEP 4/5: RUN x\n", 0);
  std::ofstream(dir_ + "/bin/unshare") << "#!/bin/sh\necho unshare \"$@\" >> " << dir_
                                       << "/calls\nshift; exec \"$@\"\n";
  fs::permissions(dir_ + "/bin/unshare", fs::perms::owner_all);
  target_.steps_without_network = true;
  EXPECT_THAT(Run(Example()), HasSubstr("Install steps have no network here.\n==> step 1 of 2"));
  EXPECT_EQ(exit_code_, 0);
  const std::string base = absl::StrCat("docker.io/library/python@", Example().base.digest);
  EXPECT_THAT(Read("/calls"),
              HasSubstr(absl::StrCat("pull --authfile ", dir_, "/home/registries.json ", base,
                                     "\nunshare --net buildah bud --format oci --layers --pull=never ")));
}

TEST_F(ImageBuildTest, WhatKilledBuildsHaveLeftIsRemovedUnlessAnotherBuildRuns) {
  Buildah("", 0);
  Run(Example());
  EXPECT_THAT(Read("/calls"), ::testing::StartsWith("rm --all\nbud "));
  fs::remove(dir_ + "/calls");
  const int other = open((dir_ + "/builds.lock").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_SH), 0);
  Run(Example());
  EXPECT_THAT(Read("/calls"), ::testing::StartsWith("bud "));
  close(other);
}

TEST_F(ImageBuildTest, OnlyWhatTheStepsReadComesIntoTheImage) {
  Buildah("", 0);
  Run(Example());
  EXPECT_TRUE(fs::exists(dir_ + "/home/context/requirements.txt"));
  EXPECT_TRUE(fs::exists(dir_ + "/home/context/odd name/x"));
  EXPECT_TRUE(fs::is_empty(dir_ + "/home/context/pkg")) << "only that it exists decides";
  EXPECT_FALSE(fs::exists(dir_ + "/home/context/train.py"));
  ImageInputs all = Example();
  all.code = {.tree = "all", .everything_because = "`bash setup.sh` may read any file"};
  Run(all);
  EXPECT_TRUE(fs::exists(dir_ + "/home/context/train.py"));
  EXPECT_FALSE(fs::exists(dir_ + "/home/context/riseml.yml")) << "its edits build nothing";
}

TEST_F(ImageBuildTest, AnEditableProjectIsThereDuringTheStepsOnly) {
  Buildah("", 0);
  ImageInputs inputs = Example();
  inputs.code.projects = {""};
  const std::string output = Run(inputs);
  EXPECT_EQ(exit_code_, 0) << output;
  EXPECT_TRUE(fs::exists(dir_ + "/home/context/train.py"));
  EXPECT_FALSE(fs::exists(dir_ + "/home/context/riseml.yml"));
  const std::string passing = Read("/home/settings/passing");
  EXPECT_THAT(passing, HasSubstr("./train.py\n"));
  EXPECT_THAT(passing, Not(HasSubstr("requirements.txt")));
  EXPECT_THAT(Read("/home/Containerfile"), HasSubstr("/run/riseml-settings/passing"));
  EXPECT_EQ(KeyOf(inputs), KeyOf(Example())) << "it decides nothing";
}

TEST_F(ImageBuildTest, StepsSeeTheSettingsOfTheNode) {
  Buildah("", 0);
  variables_ = absl::StrCat("PIP_INDEX_URL=\"https://it's/simple\" https_proxy=http://proxy:1 PIP_CERT=", dir_,
                            "/code/requirements.txt PIP_CACHE_DIR=/x OTHER=1");
  const std::string output = Run(Example());
  EXPECT_EQ(exit_code_, 0) << output;
  EXPECT_THAT(Read("/calls"), HasSubstr(absl::StrCat(" -v ", dir_, "/code/requirements.txt:/run/riseml-files/1:ro ")));
  const std::string text = Read("/home/settings/variables");
  EXPECT_THAT(text, HasSubstr("export PIP_INDEX_URL='https://it'\\''s/simple'\n"));
  EXPECT_THAT(text, HasSubstr("export https_proxy='http://proxy:1'\n"));
  EXPECT_THAT(text, HasSubstr("export PIP_CERT='/run/riseml-files/1'\n"));
  EXPECT_THAT(text, Not(HasSubstr("PIP_CACHE_DIR")));
  EXPECT_THAT(text, Not(HasSubstr("OTHER")));
  EXPECT_THAT(Read("/home/settings/names"), HasSubstr("PIP_INDEX_URL\n"));
  EXPECT_THAT(text, HasSubstr("PATH=\"$PATH:/run/riseml-settings\"\n"));
  EXPECT_THAT(Read("/home/settings/riseml-report"), HasSubstr("install steps have no results"));
  EXPECT_EQ(fs::status(dir_ + "/home/settings/riseml-report").permissions(), fs::perms(0755));
}

TEST_F(ImageBuildTest, AStepThatFailsIsNamedWithItsCode) {
  Buildah(
      "STEP 4/5: RUN [\"/bin/sh\"]\nno such package\n"
      "Error: building at STEP \"RUN --mount=x /bin/sh -c [ ! -r x ] || . x\npip install -r requirements.txt\": while "
      "running runtime: exit status 3\n",
      3);
  const std::string output = Run(Example());
  EXPECT_EQ(exit_code_, 7);
  EXPECT_THAT(output,
              ::testing::EndsWith("no such package\nstep 1 of 2 failed: `pip install -r requirements.txt` return "
                                  "code: 3\n"));
  Buildah(
      "STEP 3/5: COPY . /code/\nError: committing container for step {Command:copy}: copying layers: internal error: "
      "history lists 1 non-empty layers, but we have 2 layers on disk\n",
      125);
  EXPECT_THAT(Run(Example()),
              AllOf(HasSubstr("\nthe base image cannot be built upon: "), Not(HasSubstr("committing"))));
  Buildah("STEP 1/5: FROM x\nError: initializing source: connection refused\n", 125);
  EXPECT_THAT(Run(Example()), ::testing::EndsWith("Error: initializing source: connection refused\n"));
  EXPECT_EQ(exit_code_, 7);
}

TEST_F(ImageBuildTest, ABuildThatIsStoppedBlamesNoStep) {
  Buildah(
      "STEP 4/5: RUN [\"/bin/sh\"]\nsubprocess exited on killed\n"
      "Error: building at STEP \"RUN x\": while running runtime: exit status 1\n",
      1);
  EXPECT_THAT(Run(Example()), ::testing::EndsWith("==> step 1 of 2: pip install -r requirements.txt\n"));
}

// A build that prints nothing for minutes looks dead.
TEST_F(ImageBuildTest, LinesAreShownWhileTheBuildRuns) {
  const std::string go = dir_ + "/go";
  ASSERT_EQ(mkfifo(go.c_str(), 0600), 0);
  std::ofstream(dir_ + "/bin/buildah")
      << "#!/bin/sh\n[ \"$1\" != bud ] && exit 0\necho 'STEP 4/5: RUN x'\necho first\nread x < " << go << "\n";
  fs::permissions(dir_ + "/bin/buildah", fs::perms::owner_all);
  // Lets the build go on once its first line has arrived.
  follow_ = absl::StrCat("while read -r line; do echo \"$line\"; [ \"$line\" = first ] && echo > ", go, "; done");
  EXPECT_THAT(Run(Example()), HasSubstr("first\n"));
}

TEST_F(ImageBuildTest, ARebuildUsesNothingOfEarlierBuilds) {
  Buildah("", 0);
  ImageInputs inputs = Example();
  inputs.rebuild = "33333333-3333-4333-8333-333333333333";
  Run(inputs);
  EXPECT_THAT(Read("/calls"), HasSubstr("--layers --no-cache "));
}

}  // namespace
}  // namespace riseml::builder
