// The pure parts: what runs, with which variables and shares, and what is kept of it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/agent/attempt/work_files.h"
#include "services/agent/environment/cache.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/launch/shares.h"
#include "services/agent/shell/command_sequence.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

using internal::v1::Observation;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace riseml::agent::testing;

internal::v1::RunPlan Plan(const std::vector<std::string>& steps, const std::vector<std::string>& commands) {
  internal::v1::RunPlan plan;
  for (const std::string& step : steps) {
    plan.add_build_steps()->set_title(step);
    plan.mutable_build_steps(plan.build_steps_size() - 1)->set_command(step);
  }
  for (const std::string& command : commands) plan.add_commands(command);
  return plan;
}

TEST(CommandSequence, RunsStepsAndThenCommands) {
  const auto plan = Plan({"pip install x"}, {"a", "b"});
  CommandSequence sequence(plan);
  const auto step = sequence.Next();
  EXPECT_EQ(step->announcement, "==> Step 1/1: pip install x\n");
  EXPECT_EQ(sequence.Finished({0}), "");
  EXPECT_EQ(sequence.Next()->command, "a");
  EXPECT_FALSE(sequence.IsDone());
  EXPECT_EQ(sequence.Finished({0}), "");
  const auto last = sequence.Next();
  EXPECT_EQ(last->command, "b");
  EXPECT_EQ(last->announcement, "");
  sequence.Finished({0});
  EXPECT_TRUE(sequence.IsDone());
  EXPECT_FALSE(sequence.Next().has_value());
  EXPECT_EQ(sequence.Outcome().message(), "Command `b` return code: 0");
  EXPECT_EQ(sequence.Outcome().reason(), "COMPLETED");
  EXPECT_EQ(sequence.Outcome().exit_class(), v1::Attempt::SUCCESS);
}

TEST(CommandSequence, TellsFailuresApart) {
  const auto plan = Plan({}, {"a", "b"});
  CommandSequence user(plan);
  user.Next();
  user.Finished({1});
  EXPECT_FALSE(user.Next().has_value());
  EXPECT_EQ(user.Outcome().exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_EQ(user.Outcome().reason(), "ERROR");

  CommandSequence memory(plan);
  memory.Next();
  memory.Finished({137, true});
  EXPECT_EQ(memory.Outcome().exit_class(), v1::Attempt::OUT_OF_MEMORY);
  EXPECT_EQ(memory.Outcome().reason(), "OOMKILLED");

  CommandSequence stopped(plan);
  stopped.Next();
  stopped.Stop(StopCause::kAsked);
  stopped.Stop(StopCause::kTimeLimit);
  stopped.Finished({0});
  EXPECT_FALSE(stopped.Next().has_value());
  EXPECT_EQ(stopped.Outcome().event(), Observation::STOPPED);
  EXPECT_EQ(stopped.Outcome().exit_code(), 0);

  CommandSequence limited(plan);
  limited.Next();
  limited.Stop(StopCause::kTimeLimit);
  limited.Finished({143});
  EXPECT_EQ(limited.Outcome().event(), Observation::EXITED);
  EXPECT_EQ(limited.Outcome().reason(), "RUN_TIME_EXCEEDED");
}

TEST(CommandSequence, HintsAtAptOnlyWhereItMatters) {
  const auto failed = [](const std::string& step, int code) {
    const auto plan = Plan({step}, {});
    CommandSequence sequence(plan);
    sequence.Next();
    return sequence.Finished({code});
  };
  EXPECT_THAT(failed("apt-get install -y x", 100), HasSubstr("cannot install system packages"));
  EXPECT_THAT(failed("sudo apt install x", 127), HasSubstr("cannot install system packages"));
  EXPECT_THAT(failed("pip install apt", 100), Not(HasSubstr("cannot install")));
  EXPECT_THAT(failed("apt-get install x", 1), Not(HasSubstr("cannot install")));
}

TEST(CommandSequence, AnEmptyPlanSucceeds) {
  const internal::v1::RunPlan plan;
  CommandSequence sequence(plan);
  EXPECT_FALSE(sequence.Next().has_value());
  EXPECT_EQ(sequence.Outcome().exit_code(), 0);
}

TEST(ForMessage, MakesOneValidLine) {
  EXPECT_EQ(ForMessage("a\nb\x01"
                       "c"),
            "a b c");
  EXPECT_EQ(ForMessage("ä€😀"), "ä€😀");
  EXPECT_EQ(ForMessage("\xff\xc3(\xed\xa0\x80"),
            "?"
            "?"
            "("
            "?"
            "?"
            "?");
  EXPECT_EQ(ForMessage(std::string(2000, 'x')).size(), 1000 + std::string("…").size());
}

internal::v1::StartAttemptRequest Request() {
  internal::v1::StartAttemptRequest start;
  start.set_role("train");
  start.mutable_template_()->set_owner("paul");
  start.mutable_template_()->add_commands("python a.py");
  (*start.mutable_template_()->mutable_environment())["LR"] = "1e-6";
  (*start.mutable_template_()->mutable_environment())["PATH"] = "/evil";
  return start;
}

const JobPaths kPaths = {.control = "/run/riseml",
                         .temporary = "/tmp",
                         .output = "/output",
                         .data = "/data",
                         .python_client = "/client",
                         .pip_config = "/run/riseml/pip.conf"};

TEST(Environment, IsAnAllowList) {
  const Variables node = {{"SECRET", "x"},
                          {"AWS_SECRET_ACCESS_KEY", "x"},
                          {"LD_PRELOAD", "x"},
                          {"PATH", "/node"},
                          {"HOME", "/root"},
                          {"https_proxy", "http://p:1"},
                          {"PIP_INDEX_URL", "https://i"},
                          {"PIP_CONFIG_FILE", "/root/pip.conf"},
                          {"SSL_CERT_FILE", "/ca.pem"},
                          {"UV_INDEX_URL", "u"},
                          {"TZ", "UTC"},
                          {"PYTHONPATH", "/x"}};
  const Variables variables = JobVariables(Request(), kPaths, {}, node);
  EXPECT_EQ(variables, (Variables{{"COMMAND_1", "python a.py"},
                                  {"CUDA_VISIBLE_DEVICES", ""},
                                  {"HOME", "/tmp/home"},
                                  {"LANG", "C.UTF-8"},
                                  {"LOGNAME", "paul"},
                                  {"LR", "1e-6"},
                                  {"OUTPUT_DIR", "/output"},
                                  {"PATH",
                                   "/run/riseml/bin:/tmp/home/.local/bin:/run/riseml/tools:/usr/local/sbin:/usr/local/"
                                   "bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                                  {"PIP_CONFIG_FILE", "/run/riseml/pip.conf"},
                                  {"PIP_INDEX_URL", "https://i"},
                                  {"PYTHONPATH", "/client"},
                                  {"PYTHONUNBUFFERED", "1"},
                                  {"RISEML_DATA_DIR", "/data"},
                                  {"RISEML_SOCKET", "/run/riseml/socket"},
                                  {"RISEML_USER", "paul"},
                                  {"SSL_CERT_FILE", "/ca.pem"},
                                  {"TMPDIR", "/tmp"},
                                  {"TZ", "UTC"},
                                  {"USER", "paul"},
                                  {"UV_INDEX_URL", "u"},
                                  {"https_proxy", "http://p:1"}}));
}

TEST(Environment, OfAJobWithAnEnvironmentAndGpus) {
  auto start = Request();
  start.set_environment_path("/env/key");
  start.add_gpu_uuids("GPU-1");
  start.add_gpu_uuids("GPU-2");
  const Variables variables = JobVariables(start, kPaths, {}, {});
  EXPECT_THAT(variables.at("PATH"),
              ::testing::StartsWith("/env/key/bin:/tmp/home/.local/bin:/run/riseml/tools:/usr/local/sbin:"));
  EXPECT_EQ(variables.at("VIRTUAL_ENV"), "/env/key");
  EXPECT_EQ(variables.at("CUDA_VISIBLE_DEVICES"), "GPU-1,GPU-2");
}

// R5, and cases 25, 26 and 29.
TEST(Environment, TellsAJobItsNamesSharePortsAndCache) {
  auto start = Request();
  start.set_job("users/paul/experiments/27.3/jobs/train");
  start.set_attempt(2);
  start.mutable_template_()->set_project("digits");
  start.mutable_resources()->set_cpus(1.5);
  JobPaths paths = kPaths;
  paths.cache = "/e/u/cache";
  paths.shared = "/volume/paul/digits/27/shared";
  paths.inputs["base-model"] = "/volume/paul/digits/26/3";
  const Variables variables = JobVariables(start, paths, {.master = 20001, .service = 20002}, {});
  for (const auto& [name, value] : Variables{{"RISEML_EXPERIMENT", "27.3"},
                                             {"RISEML_SET", "27"},
                                             {"RISEML_ATTEMPT", "2"},
                                             {"RISEML_SHARED_DIR", "/volume/paul/digits/27/shared"},
                                             {"RISEML_INPUT_BASE_MODEL", "/volume/paul/digits/26/3"},
                                             {"RISEML_JOB", "27.3.train"},
                                             {"RISEML_PROJECT", "digits"},
                                             {"RISEML_USER", "paul"},
                                             {"OMP_NUM_THREADS", "2"},
                                             {"MKL_NUM_THREADS", "2"},
                                             {"OPENBLAS_NUM_THREADS", "2"},
                                             {"NUMEXPR_NUM_THREADS", "2"},
                                             {"MASTER_ADDR", "127.0.0.1"},
                                             {"MASTER_PORT", "20001"},
                                             {"PORT", "20002"},
                                             {"XDG_CACHE_HOME", "/e/u/cache"},
                                             {"HF_HOME", "/e/u/cache/huggingface"},
                                             {"TORCH_HOME", "/e/u/cache/torch"},
                                             {"PIP_CACHE_DIR", "/e/u/cache/pip"},
                                             {"UV_CACHE_DIR", "/e/u/cache/uv"}})
    EXPECT_EQ(variables.at(name), value) << name;
  start.set_job("users/paul/experiments/27/jobs/train");
  EXPECT_FALSE(JobVariables(start, paths, {}, {}).contains("RISEML_SET"));
}

TEST(Environment, NoParameterReplacesWhatProgramsRelyOn) {
  auto start = Request();
  auto& variables = *start.mutable_template_()->mutable_environment();
  for (const char* name : {"LANG", "TMPDIR", "USER", "TZ", "DISPLAY", "PORT", "HOME", "LD_PRELOAD", "PYTHONHASHSEED",
                           "RISEML_USER", "OUTPUT_DIR", "SHELL", "BASH_ENV", "LC_ALL"})
    variables[name] = "parameter";
  variables["OMP_NUM_THREADS"] = "7";
  variables["EXPERIMENT_ID"] = "id";
  start.mutable_resources()->set_cpus(1);
  const Variables job = JobVariables(start, kPaths, {}, {{"TZ", "UTC"}});
  for (const auto& [name, value] : job) EXPECT_NE(value, "parameter") << name;
  EXPECT_EQ(job.at("LR"), "1e-6");
  EXPECT_EQ(job.at("OMP_NUM_THREADS"), "7");
  EXPECT_EQ(job.at("EXPERIMENT_ID"), "id");
}

TEST(Environment, LeavesOutVariablesThatAreTooLong) {
  auto start = Request();
  start.mutable_template_()->set_commands(0, std::string(200 << 10, 'x'));
  EXPECT_FALSE(JobVariables(start, kPaths, {}, {}).contains("COMMAND_1"));
}

TEST(Shares, GoToThoseThatTheFewestHave) {
  internal::v1::RunPlan one, two;
  one.add_processors(0);
  two.add_processors(1);
  EXPECT_THAT(ChooseProcessors({}, {0, 1, 2}, 0.5), ElementsAre(0));
  EXPECT_THAT(ChooseProcessors({one, two}, {0, 1, 2}, 1), ElementsAre(2));
  EXPECT_THAT(ChooseProcessors({one}, {0, 1, 2}, 1.5), ElementsAre(1, 2));
  EXPECT_THAT(ChooseProcessors({one}, {0, 1, 2}, 3), IsEmpty());
  EXPECT_THAT(ChooseProcessors({one}, {0, 1, 2}, 0), IsEmpty());
}

TEST(Shares, PortsAreDistinctAmongAttempts) {
  const JobPorts first = ChoosePorts({}, 5);
  EXPECT_NE(first.master, first.service);
  internal::v1::RunPlan plan;
  (*plan.mutable_environment())["MASTER_PORT"] = absl::StrCat(first.master);
  (*plan.mutable_environment())["PORT"] = absl::StrCat(first.service);
  const JobPorts second = ChoosePorts({plan}, 5);
  EXPECT_GT(second.master, first.service);
  EXPECT_GT(second.service, second.master);
}

TEST(Cache, WhatWasNotUsedForLongestGoesFirst) {
  TemporaryDirectory root;
  for (const char* name : {"old", "middle", "new"}) {
    WriteAll(root / name, std::string(1 << 20, 'x'));
    const std::int64_t age = std::string(name) == "old" ? 9000 : std::string(name) == "middle" ? 8000 : 10;
    const timespec times[] = {{1'000'000 - age, 0}, {1'000'000 - age, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root / name).c_str(), times, 0), 0);
  }
  ASSERT_TRUE(TrimCache(root.path(), 4 << 20, 1'000'000).ok());
  EXPECT_TRUE(FileExists(root / "old"));
  ASSERT_TRUE(TrimCache(root.path(), 5 << 19, 1'000'000).ok());
  EXPECT_FALSE(FileExists(root / "old"));
  EXPECT_TRUE(FileExists(root / "middle"));
  ASSERT_TRUE(TrimCache(root.path(), 1, 1'000'000).ok());
  EXPECT_FALSE(FileExists(root / "middle"));
  EXPECT_TRUE(FileExists(root / "new"));
}

// Case 7.
class WorkFilesTest : public ::testing::Test {
 protected:
  WorkFilesTest() { EXPECT_TRUE(MakeDirectories(root_ / "code/runs/exp1").ok()); }
  KeptFiles Keep(std::int64_t limit = 1 << 20, absl::Time since = absl::UnixEpoch()) {
    const absl::StatusOr<KeptFiles> kept =
        KeepWorkFiles({.from = root_ / "code", .to = root_ / "out", .since = since, .bytes_limit = limit});
    EXPECT_TRUE(kept.ok()) << kept.status();
    return kept.value_or(KeptFiles());
  }
  TemporaryDirectory root_;
};

TEST_F(WorkFilesTest, KeepsFilesAndLinksButNoCaches) {
  WriteAll(root_ / "code/runs/exp1/best.pt", "weights");
  std::filesystem::create_symlink("exp1", root_ / "code/runs/latest");
  std::filesystem::create_directory_symlink("/", root_ / "code/everything");
  for (const char* cache : {"__pycache__", ".pytest_cache", "venv", "tagged"}) {
    ASSERT_TRUE(MakeDirectories(root_ / (std::string("code/") + cache)).ok());
    WriteAll(root_ / (std::string("code/") + cache + "/x"), "x");
  }
  WriteAll(root_ / "code/venv/pyvenv.cfg", "");
  WriteAll(root_ / "code/tagged/CACHEDIR.TAG", "");
  const KeptFiles kept = Keep();
  EXPECT_EQ(kept.files, 3);
  EXPECT_EQ(kept.bytes, 7);
  EXPECT_EQ(ReadAll(root_ / "out/runs/exp1/best.pt"), "weights");
  EXPECT_EQ(std::filesystem::read_symlink(root_ / "out/everything"), "/");
  EXPECT_FALSE(FileExists(root_ / "out/__pycache__"));
  EXPECT_FALSE(FileExists(root_ / "out/venv"));
  EXPECT_EQ(DescribeKept(kept, {.to = "/o/workdir", .bytes_limit = 1}),
            "==> Kept 3 files (7 bytes) that the job left in its working directory: workdir/ in its output "
            "(riseml status shows the path)\n");
}

TEST_F(WorkFilesTest, KeepsNothingThatWasThereBefore) {
  WriteAll(root_ / "code/train.py", "x");
  EXPECT_EQ(Keep(1 << 20, absl::InfiniteFuture()).files, 0);
  EXPECT_FALSE(FileExists(root_ / "out"));
  EXPECT_EQ(DescribeKept({}, {}), "");
}

TEST_F(WorkFilesTest, NamesWhatIsOverTheBound) {
  WriteAll(root_ / "code/a.bin", std::string(600, 'x'));
  WriteAll(root_ / "code/b.bin", std::string(600, 'x'));
  WriteAll(root_ / "code/c.txt", "small");
  const KeptFiles kept = Keep(1000);
  EXPECT_EQ(kept.files, 2);
  EXPECT_THAT(DescribeKept(kept, {.to = "/o/" + KeptName(2), .bytes_limit = 1000}),
              HasSubstr("as more than 1.0 kB would be: b.bin (600 bytes). Write large files to $OUTPUT_DIR"));
}

TEST_F(WorkFilesTest, NeverReplacesWhatTheJobHasWrittenItself) {
  ASSERT_TRUE(MakeDirectories(root_ / "out").ok());
  WriteAll(root_ / "out/best.pt", "mine");
  WriteAll(root_ / "code/best.pt", "other");
  const KeptFiles kept = Keep();
  EXPECT_EQ(ReadAll(root_ / "out/best.pt"), "mine");
  EXPECT_EQ(kept.files, 0);
  EXPECT_THAT(DescribeKept(kept, {.to = "/o/workdir", .bytes_limit = 1}),
              HasSubstr("has written files of these names to workdir/ in its output: best.pt\n"));
}

TEST_F(WorkFilesTest, NeverWritesThroughALink) {
  ASSERT_TRUE(MakeDirectories(root_ / "out").ok());
  ASSERT_TRUE(MakeDirectories(root_ / "elsewhere").ok());
  std::filesystem::create_directory_symlink(root_ / "elsewhere", root_ / "out/runs");
  WriteAll(root_ / "code/runs/exp1/best.pt", "weights");
  EXPECT_FALSE(
      KeepWorkFiles({.from = root_ / "code", .to = root_ / "out", .since = absl::UnixEpoch(), .bytes_limit = 99}).ok());
  EXPECT_FALSE(FileExists(root_ / "elsewhere/exp1"));
}

TEST(Environment, FindsPathsThatSettingsName) {
  EXPECT_THAT(
      InheritedPaths({{"SSL_CERT_FILE", "/a/ca.pem"}, {"PIP_FIND_LINKS", "/w https://x/y /z"}, {"OTHER", "/no"}}),
      ElementsAre("/a/ca.pem", "/w", "/z"));
}

}  // namespace
}  // namespace riseml::agent
