// The real program against a fake cluster: what people and scripts see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "cli/testing/cli_fixture.h"

namespace riseml::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST_F(CliTest, WhoamiNamesTheCaller) {
  const Finished run = Run({"whoami"});
  EXPECT_EQ(run.out, "you are: paul (paul@example.org)\nStored: 12.3 GiB of 500 GiB, 1,204 of 100,000 experiments\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(Run({"whoami", "--json"}).out, StartsWith("{\"version\":1,\"user\":{\"name\":\"users/paul\""));
}

TEST_F(CliTest, WithoutAConfigurationItSaysHowToGetOne) {
  variables_["RISEML_CONFIG"] = dir_ + "/absent";
  const Finished run = Run({"status"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("ERROR: Client configuration file " + dir_ + "/absent not found"),
                             HasSubstr("riseml up"), HasSubstr("riseml user login")));
  EXPECT_THAT(run.out, IsEmpty());
}

TEST_F(CliTest, AWrongKeyIsToldFromAnAbsentServer) {
  config_.api_key = "rml_wrong";
  ASSERT_TRUE(SaveClientConfig(config_path(), config_).ok());
  const Finished run = Run({"status"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(StartsWith("ERROR: You are not authorized!"), HasSubstr("riseml user login")));
}

TEST_F(CliTest, AnAbsentServerIsNamedWithWhatToDo) {
  const std::string address = cluster_->address();
  cluster_.reset();
  const Finished run = Run({"status"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("Could not connect to API (" + address + ") — connection refused"),
                             HasSubstr("riseml up")));
}

TEST_F(CliTest, AServerThatStartsIsWaitedFor) {
  content().RefuseCallers(7);
  const Finished run = Run({"whoami"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.out, StartsWith("you are: paul (paul@example.org)\n"));
  EXPECT_EQ(run.err, "waiting for the API (" + cluster_->address() + ") to answer…\n");
}

TEST_F(CliTest, AServerWithAnotherCertificateIsRefused) {
  ASSERT_TRUE(MakeDirectories(dir_ + "/other").ok());
  const FakeCluster other(dir_ + "/other");
  config_.api_address = other.address();
  ASSERT_TRUE(SaveClientConfig(config_path(), config_).ok());
  const Finished run = Run({"status"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("ERROR: Could not connect to API"), HasSubstr("certificate")));
}

TEST_F(CliTest, AServerThatWantsAnotherVersionSaysWhich) {
  v1::ClusterInfo cluster = content().cluster();
  cluster.set_oldest_client_version("3.0");
  cluster.set_newest_client_version("3.1");
  content().SetCluster(cluster);
  const Finished run = Run({"system", "info"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("works with 3.0 or newer"));
}

TEST_F(CliTest, InitMakesAFileThatValidates) {
  const Finished init = Run({"init"});
  EXPECT_EQ(init.out, "riseml.yml successfully created\n");
  EXPECT_THAT(Run({"validate"}).out, HasSubstr("\"project\": \"census\""));
  const Finished again = Run({"init"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(again.err, "ERROR: riseml.yml already exists\n");
}

TEST_F(CliTest, ValidateWarnsOfFilesThatAreNotThereAsTrainDoes) {
  WriteProject("riseml.yml", kGoodSpec);
  WriteProject("ran.py", "");
  const std::string warning =
      "WARNING: a command names run.py, which the project does not have; did you mean ran.py?\n";
  const Finished run = Run({"validate"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, HasSubstr(warning));
  EXPECT_THAT(Run({"train", "--dry-run"}).err, HasSubstr(warning));
}

TEST_F(CliTest, AnInvalidFileIsRefusedWithItsLine) {
  WriteProject("riseml.yml", "project: census\ntrain:\n  image: a\n  run: [a]\n  resources: {cpu: 1}\n");
  const Finished run = Run({"train"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(StartsWith("ERROR: invalid config riseml.yml\n"), HasSubstr("riseml.yml:5:")));
}

TEST_F(CliTest, TrainSendsTheProjectAndStartsInBackground) {
  WriteProject("riseml.yml", kGoodSpec);
  WriteProject("run.py", "print('hello')\n");
  WriteProject(".env", "SECRET=1\n");
  content().Put(MakeExperiment("138", v1::Experiment::CREATED));
  const Finished run = Run({"train", "--label", "owner=paul", "--name", "first"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("Project census: 1 experiment with 1 CPU, 512 MB memory, 0 GPUs\n"),
                             HasSubstr("Syncing project (15 B, 1 file)...done\n"),
                             HasSubstr("project created: census (project-uid)\n"),
                             HasSubstr("Started experiment 138 in background...\n"),
                             HasSubstr("Type `riseml logs 138` to connect to log stream.\n")));
  EXPECT_THAT(run.err, HasSubstr(".env"));
  const auto created = content().created();
  ASSERT_EQ(created.size(), 1u);
  EXPECT_EQ(created[0].parent(), "users/paul");
  EXPECT_EQ(created[0].project(), "census");
  EXPECT_EQ(created[0].config_text(), kGoodSpec);
  EXPECT_EQ(created[0].labels().at("owner"), "paul");
  EXPECT_EQ(created[0].display_name(), "first");
  EXPECT_EQ(created[0].request_id().size(), 36u);
}

TEST_F(CliTest, QuietTrainPrintsTheIdOnly) {
  WriteProject("riseml.yml", kGoodSpec);
  content().Put(MakeExperiment("138", v1::Experiment::CREATED));
  EXPECT_EQ(Run({"train", "-q"}).out, "138\n");
}

struct Outcome {
  v1::Experiment::State state;
  int train_code, wait_code;
};
class OutcomeTest : public CliTest, public testing::WithParamInterface<Outcome> {
 protected:
  void PutEnded() {
    content().Put(MakeJob("138", "train", v1::Job::FINISHED));
    content().AppendLog("uid-138-train", JobResourceName("138", "train"), "one\n");
    content().EndLog("uid-138-train");
    v1::Experiment ended = MakeExperiment("138", GetParam().state);
    ended.mutable_start_time()->set_seconds(1'700'000'010);
    ended.mutable_end_time()->set_seconds(1'700'000'030);
    (*ended.mutable_result()->mutable_fields())["accuracy"].set_number_value(0.25);
    content().Put(ended);
  }
};

TEST_P(OutcomeTest, IsTheExitCodeOfTrainWithLogs) {
  WriteProject("riseml.yml", kGoodSpec);
  PutEnded();
  const Finished run = Run({"train", "-l"});
  EXPECT_EQ(run.exit_code, GetParam().train_code) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("138.train | one\n"), HasSubstr(" after 20 seconds\n"),
                             HasSubstr("RESULT: accuracy=0.25\n")));
}

TEST_P(OutcomeTest, IsTheExitCodeOfWait) {
  PutEnded();
  EXPECT_EQ(Run({"wait", "138"}).exit_code, GetParam().wait_code);
}

INSTANTIATE_TEST_SUITE_P(States, OutcomeTest,
                         testing::Values(Outcome{v1::Experiment::FINISHED, 0, 0}, Outcome{v1::Experiment::FAILED, 1, 1},
                                         Outcome{v1::Experiment::KILLED, 3, 3}));

TEST_F(CliTest, WaitTellsTimeoutsAndErrorsApart) {
  content().Put(MakeExperiment("7", v1::Experiment::RUNNING));
  EXPECT_EQ(Run({"wait", "7", "--timeout", "0"}).exit_code, 4);
  const Finished absent = Run({"wait", "8"});
  EXPECT_EQ(absent.exit_code, 2) << absent.err;
  EXPECT_EQ(Run({"wait", "--bogus"}).exit_code, 2);
}

TEST_F(CliTest, WaitEndsWhenTheExperimentDoes) {
  content().Put(MakeExperiment("7", v1::Experiment::RUNNING));
  content().CutWatch(2);
  const auto wait = Start({"wait", "7"});
  content().Put(MakeExperiment("7", v1::Experiment::FINISHED));
  const Finished run = wait->Finish();
  EXPECT_EQ(run.out, "7 FINISHED\n");
  EXPECT_EQ(run.exit_code, 0);
}

TEST_F(CliTest, WaitSaysWhyAnExperimentFailed) {
  v1::Experiment failed = MakeExperiment("7", v1::Experiment::FAILED);
  failed.set_message("its build 7.build failed: Step 2/4 `x` return code: 1");
  content().Put(failed);
  const Finished run = Run({"wait", "7"});
  EXPECT_EQ(run.out, "7 FAILED\n") << "what scripts read is what it was";
  EXPECT_THAT(run.err, HasSubstr("7: its build 7.build failed: Step 2/4 `x` return code: 1\n"));
}

TEST_F(CliTest, AnInterruptedWaitSaysSo) {
  content().Put(MakeExperiment("7", v1::Experiment::RUNNING));
  content().Put(MakeExperiment("6", v1::Experiment::FINISHED));
  const auto wait = Start({"wait", "6", "7"});
  ASSERT_TRUE(wait->ReadUntil("6 FINISHED\n"));
  wait->Signal(SIGINT);
  const Finished run = wait->Finish();
  EXPECT_EQ(run.exit_code, 130);
  EXPECT_THAT(run.err, HasSubstr("\nAborting...\n"));
}

TEST_F(CliTest, NoColorIsHonoured) {
  content().Put(MakeExperiment("4", v1::Experiment::RUNNING));
  EXPECT_THAT(Program(RISEML_PROGRAM, {"status"}, variables_, project_dir(), "", true).Finish().out,
              HasSubstr("\x1b[1mID"));
  variables_["NO_COLOR"] = "1";
  EXPECT_THAT(Program(RISEML_PROGRAM, {"status"}, variables_, project_dir(), "", true).Finish().out,
              Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, StatusListsWhatIsUnderWay) {
  content().Put(MakeExperiment("3", v1::Experiment::FINISHED));
  content().Put(MakeExperiment("4", v1::Experiment::RUNNING));
  v1::Experiment pending = MakeExperiment("5", v1::Experiment::PENDING);
  content().Put(pending);
  v1::Job waiting = MakeJob("5", "train", v1::Job::PENDING);
  waiting.set_wait_reason("NO_CAPACITY");
  waiting.set_wait_message("no node has 2 free GPUs");
  content().Put(waiting);
  const Finished run = Run({"status"});
  EXPECT_THAT(run.out,
              AllOf(StartsWith("ID     PROJECT        STATE      AGE         TYPE\n5      census         ● PENDING"),
                    HasSubstr("\n4      census         ● RUNNING"), Not(HasSubstr("FINISHED")),
                    HasSubstr("\n5 waits: no node has 2 free GPUs (NO_CAPACITY)\n")));
  EXPECT_EQ(Run({"status", "-a", "-q"}).out, "5\n4\n3\n");
  EXPECT_EQ(Run({"status", "-a", "-q", "-n", "2"}).out, "5\n4\n");
  EXPECT_EQ(Run({"status", ".ada.77"}).err,
            "ERROR: Could not find experiment! There is no experiment .ada.77\n"
            "       List what there is: riseml status -a .ada\n");
  EXPECT_EQ(Run({"status", "4.ps"}).err,
            "ERROR: Could not find job! There is no job 4.ps\n       List the jobs: riseml status 4\n");
}

TEST_F(CliTest, LoginStoresWhatWorksAndNothingElse) {
  const std::string path = dir_ + "/new/config";
  variables_["RISEML_CONFIG"] = path;
  const std::vector<std::string> login = {
      "user", "login", "--api-host", cluster_->address(), "--ca-file", dir_ + "/certificates/ca.crt"};
  const Finished wrong = Run(login, "rml_wrong\n");
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("configuration is unchanged"));
  EXPECT_FALSE(FileExists(path));
  const Finished aborted = Run(login, "");
  EXPECT_EQ(aborted.exit_code, 1);
  EXPECT_FALSE(FileExists(path));
  const Finished run = Run(login, absl::StrCat(kFakeKey, "\n"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "Login succeeded, config updated.\n");
  const auto config = LoadClientConfig(path, "");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->user, "paul");
  EXPECT_EQ(config->cluster_id, "c0ffee");
  EXPECT_EQ(Run({"whoami"}).exit_code, 0);
}

TEST_F(CliTest, ARotatedKeyOfOnesOwnIsStored) {
  EXPECT_THAT(Run({"user", "rotate-key"}).out, HasSubstr(" api_key: rml_rotated\n"));
  EXPECT_EQ(LoadClientConfig(config_path(), "")->api_key, "rml_rotated");
}

TEST_F(CliTest, UserCommandsPrintAsDocumented) {
  EXPECT_EQ(Run({"user", "create", "--username", "eva", "--email", "eva@example.org"}).out,
            "Created user eva\n email: eva@example.org\n api_key: rml_shown_once\n");
  EXPECT_EQ(Run({"user", "list"}).out,
            "Username      Email             Role    Enabled    Stored\n"
            "anna          anna@example.org  admin   True       12.3 GiB\n"
            "paul          paul@example.org  admin   True       12.3 GiB\n");
  EXPECT_THAT(Run({"user", "display", "paul"}).out, HasSubstr("api_key: rml_k1…\n  created: 2023-11-14T22:13:20Z\n"));
  EXPECT_EQ(Run({"user", "display", "eva"}).err, "ERROR: User eva not found.\n");
  const Finished unasked = Run({"user", "disable", "paul"}, "y\n");
  EXPECT_EQ(unasked.exit_code, 1);
  EXPECT_THAT(unasked.err, HasSubstr("standard input is not a terminal; add --yes"));
  EXPECT_THAT(Run({"user", "disable", "paul", "--yes"}).out, HasSubstr("User paul disabled.\n"));
  EXPECT_THAT(Run({"user", "create", "--username", "e", "--email", "x"}).err, HasSubstr("no user name"));
  for (const std::vector<std::string>& name : {std::vector<std::string>{"paul"}, {"--username", "paul"}}) {
    std::vector<std::string> words = {"user", "update", "--email", "p@example.org"};
    words.insert(words.end(), name.begin(), name.end());
    EXPECT_EQ(Run(words).out, "Updated user paul\n email: p@example.org\n");
  }
  EXPECT_EQ(Run({"user", "update", "--enable"}).err,
            "ERROR: no user is named; write e.g. riseml user update paul --enable\n");
}

TEST_F(CliTest, SystemInfoShowsVersionsAndNodes) {
  const Finished run = Run({"system", "info"});
  EXPECT_THAT(run.out, AllOf(StartsWith("RiseML Client/Server Version: 2.0.0/2.0.0\nRiseML Cluster ID: c0ffee\n"),
                             HasSubstr("worker1             32   64.0 GiB  0    0.0 GiB"),
                             HasSubstr("Total               32   64.0 GiB  0    0.0 GiB"),
                             HasSubstr("does not enforce CPU and memory limits")));
  EXPECT_THAT(run.out, Not(HasSubstr("containers")));
  v1::ClusterInfo cluster = content().cluster();
  cluster.set_containers(true);
  content().SetCluster(cluster);
  EXPECT_THAT(Run({"system", "info"}).out, HasSubstr("\nJobs run in containers.\n"));
}

TEST_F(CliTest, UpBecomesTheSupervisorBesideIt) {
  ASSERT_TRUE(MakeDirectories(dir_ + "/bin").ok());
  const std::string program = dir_ + "/bin/riseml";
  std::filesystem::copy_file(RISEML_PROGRAM, program);
  EXPECT_THAT(Program(program, {"up"}, variables_, project_dir()).Finish().err,
              HasSubstr("riseml-supervisor is not beside"));
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/bin/riseml-supervisor", "#!/bin/sh\necho \"$@\"\nexit 7\n", 0755).ok());
  const Finished up =
      Program(program, {"up", "--dir", "/srv/x", "--runtime", "podman"}, variables_, project_dir()).Finish();
  EXPECT_EQ(up.out, "up --dir /srv/x --runtime podman\n");
  EXPECT_EQ(up.exit_code, 7);
  EXPECT_EQ(Program(program, {"down"}, variables_, project_dir()).Finish().out, "down\n");
}

}  // namespace
}  // namespace riseml::cli
