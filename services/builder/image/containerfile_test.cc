// Containerfiles; the shell in them is run as a builder would run it, in /bin/sh.
#include "services/builder/image/containerfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace riseml::builder {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> RunLines(const ImageBuild& build) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(ContainerfileOf(build), '\n'))
    if (absl::StartsWith(line, "RUN ")) lines.emplace_back(line);
  return lines;
}

// Runs the steps one after the other as separate processes; returns their output. Directories of the image lie in a
// temporary one.
std::string RunSteps(const ImageBuild& build, int* exit_code = nullptr, const std::string& path = "$PATH") {
  char pattern[] = "/tmp/riseml-containerfile-XXXXXX";
  const std::string root = mkdtemp(pattern);
  std::filesystem::create_directories(root + "/secrets");
  for (const std::string& name : build.secrets) std::ofstream(root + "/secrets/" + name) << "value of " << name;
  std::string output;
  int code = 0;
  for (const std::string& line : RunLines(build)) {
    const nlohmann::json words = nlohmann::json::parse(line.substr(line.find('[')));
    std::ofstream(root + "/shell") << words[2].get<std::string>();
    std::ofstream(root + "/script") << absl::StrReplaceAll(
        words[4].get<std::string>(), {{kBuildState, root + "/state"}, {"/run/secrets", root + "/secrets"}});
    FILE* pipe = popen(
        absl::StrCat("cd ", root, "; PATH=", path, " /bin/sh -c \"$(/bin/cat shell)\" step \"$(/bin/cat script)\" 2>&1")
            .c_str(),
        "r");
    char buffer[4096];
    while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
    code = WEXITSTATUS(pclose(pipe));
    if (code != 0) break;
  }
  if (exit_code != nullptr) *exit_code = code;
  std::ifstream state(root + "/state/variables");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(state), {}), ::testing::Not(HasSubstr("value of")))
      << "no secret stays in the image";
  std::filesystem::remove_all(root);
  return output;
}

TEST(Containerfile, HasOneInstructionForEachStep) {
  const ImageBuild build{.base = "docker.io/library/python@sha256:1",
                         .steps = {"pip install -r requirements.txt", "make"},
                         .cache = "ann"};
  EXPECT_THAT(ContainerfileOf(build),
              StartsWith("FROM docker.io/library/python@sha256:1\nWORKDIR /code\nCOPY . /code/\nRUN "));
  const std::vector<std::string> runs = RunLines(build);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_THAT(runs[0], HasSubstr("--mount=type=cache,id=ann-home,target=/root/.cache "));
  EXPECT_THAT(runs[0], HasSubstr("\\npip install -r requirements.txt\"]"));
  EXPECT_EQ(ContainerfileOf({.base = "b", .steps = {}, .cache = "ann"}), "FROM b\nWORKDIR /code\nCOPY . /code/\n");
}

TEST(Containerfile, AStepStopsAtItsFirstLineThatFails) {
  for (const std::string& step : {"echo one\nfalse\necho two", "echo one\nfalse | true\necho two"}) {
    int code = 0;
    EXPECT_EQ(RunSteps({.base = "b", .steps = {step}, .cache = "c"}, &code), "one\n") << step;
    EXPECT_EQ(code, 1) << step;
  }
}

TEST(Containerfile, AnImageWithoutBashHasItsOwnShell) {
  char pattern[] = "/tmp/riseml-containerfile-XXXXXX";
  const std::string bin = mkdtemp(pattern);
  for (const char* program : {"mkdir", "cat"})
    std::filesystem::create_symlink(absl::StrCat("/usr/bin/", program), absl::StrCat(bin, "/", program));
  int code = 0;
  const ImageBuild build{
      .base = "b", .steps = {"A=1; export A; echo ${BASH_VERSION:-none}", "echo $A\nfalse\necho two"}, .cache = "c"};
  EXPECT_EQ(RunSteps(build, &code, bin), "none\n1\n");
  EXPECT_EQ(code, 1);
  std::filesystem::remove_all(bin);
}

TEST(Containerfile, AFirstStepIsTheSameWhateverFollowsOne) {
  const auto first = [](std::vector<std::string> steps) {
    return RunLines({.base = "b", .steps = std::move(steps), .cache = "c"})[0];
  };
  EXPECT_EQ(first({"one", "two"}), first({"one", "other", "three"}));
}

TEST(Containerfile, AStepGoesOnWhereTheOneBeforeEnded) {
  EXPECT_EQ(RunSteps({.base = "b",
                      .steps = {"mkdir 'my dir'; cd 'my dir'; export A=\"it's\ntwo lines\"; B=not-exported",
                                "echo \"$A|$B|$(basename \"$PWD\")\" # a comment", "echo \"$A\"; exit 0", "echo end"},
                      .cache = "c"}),
            "it's\ntwo lines||my dir\nit's\ntwo lines\nend\n");
}

TEST(Containerfile, AStepEndsWithItsOwnStatus) {
  int code = 0;
  EXPECT_EQ(RunSteps({.base = "b", .steps = {"echo one; false", "echo two"}, .cache = "c"}, &code), "one\n");
  EXPECT_EQ(code, 1);
  RunSteps({.base = "b", .steps = {"exit 7", "echo two"}, .cache = "c"}, &code);
  EXPECT_EQ(code, 7);
  EXPECT_EQ(RunSteps({.base = "b", .steps = {"false || true", "echo two"}, .cache = "c"}, &code), "two\n");
  EXPECT_EQ(RunSteps({.base = "b", .steps = {"set +e; false; true", "echo two"}, .cache = "c"}, &code), "two\n");
}

TEST(Containerfile, SecretsAreSeenByStepsAndNotKept) {
  const ImageBuild build{.base = "b", .steps = {"echo $TOKEN", "echo $TOKEN"}, .secrets = {"TOKEN"}, .cache = "c"};
  EXPECT_EQ(RunSteps(build), "value of TOKEN\nvalue of TOKEN\n");
  EXPECT_THAT(RunLines(build)[0], HasSubstr("--mount=type=secret,id=TOKEN,target=/run/secrets/TOKEN "));
}

TEST(Containerfile, AStepIsOneLineWhateverItContains) {
  const ImageBuild build{.base = "b", .steps = {"cat <<EOF\n\"$HOME\" \\\nEOF\necho 'ü' \\"}, .cache = "c"};
  ASSERT_EQ(RunLines(build).size(), 1U);
  const auto words = nlohmann::json::parse(RunLines(build)[0].substr(RunLines(build)[0].find('[')));
  EXPECT_THAT(words[4].get<std::string>(), ::testing::EndsWith("\n" + build.steps[0]));
}

}  // namespace
}  // namespace riseml::builder
