#include "cli/render/status_view.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/render/json.h"
#include "cli/render/log_backlog.h"
#include "cli/render/node_view.h"
#include "cli/render/spec_view.h"
#include "cli/render/sync_view.h"
#include "cli/testing/golden.h"
#include "services/common/spec/parse.h"

namespace riseml::cli {
namespace {

Viewer MakeViewer(Terminal terminal = {}) {
  return {.terminal = terminal, .caller = "paul", .now = absl::FromUnixSeconds(1'700'000'700)};
}

v1::Experiment MakeExperiment(const std::string& id, v1::Experiment::State state, const std::string& user = "paul") {
  v1::Experiment experiment;
  experiment.set_name(absl::StrCat("users/", user, "/experiments/", id));
  experiment.set_type(v1::Experiment::EXPERIMENT);
  experiment.set_project(absl::StrCat("users/", user, "/projects/census"));
  experiment.set_state(state);
  experiment.mutable_create_time()->set_seconds(1'700'000'000);
  return experiment;
}

v1::Job MakeJob(const std::string& id, const std::string& name, v1::Job::State state) {
  v1::Job job;
  job.set_name(absl::StrCat("users/paul/experiments/", id, "/jobs/", name));
  job.set_state(state);
  job.mutable_resources()->set_cpus(0.5);
  job.mutable_resources()->set_memory_bytes(512'000'000);
  return job;
}

v1::Experiment FinishedExperiment() {
  v1::Experiment experiment = MakeExperiment("2", v1::Experiment::FINISHED);
  experiment.mutable_start_time()->set_seconds(1'700'000'090);
  experiment.mutable_end_time()->set_seconds(1'700'000'110);
  v1::TrainSpec* spec = experiment.mutable_spec();
  spec->set_image("tensorflow/tensorflow:1.5.0");
  spec->set_framework("tensorflow");
  spec->set_framework_version("1.5.0");
  spec->set_tensorboard(true);
  spec->add_run("python run.py --epochs 3");
  spec->add_run("python eval.py");
  spec->set_concurrency(1);
  (*experiment.mutable_parameters())["lr"] = "1e-6";
  (*experiment.mutable_parameters())["epochs"] = "20";
  (*experiment.mutable_result()->mutable_fields())["accuracy"].set_number_value(0.123456789);
  experiment.set_output_path("/srv/output/paul/census/2");
  experiment.set_output_bytes(13'207'000'000);
  experiment.set_output_at_least(true);
  experiment.mutable_environment()->set_key("3f2a91c0b7e4d5a6");
  experiment.mutable_environment()->set_built_by("users/paul/experiments/1/jobs/build");
  experiment.mutable_environment()->set_built_because("requirements.txt has changed\x1b[2J since 12.build");
  v1::Job build = MakeJob("2", "build", v1::Job::FINISHED);
  build.set_reason("COMPLETED");
  build.set_exit_code(0);
  build.mutable_start_time()->set_seconds(1'700'000'030);
  build.mutable_end_time()->set_seconds(1'700'000'067);
  *experiment.add_jobs() = build;
  v1::Job train = MakeJob("2", "train", v1::Job::FINISHED);
  train.set_reason("COMPLETED");
  train.set_message("Command python run.py --epochs 3 return code: 0");
  train.set_exit_code(0);
  train.mutable_start_time()->set_seconds(1'700'000'093);
  train.mutable_end_time()->set_seconds(1'700'000'110);
  *experiment.add_jobs() = train;
  return experiment;
}

std::vector<ListedExperiment> Listed() {
  v1::Experiment set = MakeExperiment("14", v1::Experiment::RUNNING);
  set.set_type(v1::Experiment::SET);
  v1::Experiment first = MakeExperiment("14.1", v1::Experiment::FINISHED);
  first.mutable_start_time()->set_seconds(1'700'000'420);
  (*first.mutable_parameters())["lr"] = "0.1";
  (*first.mutable_result()->mutable_fields())["loss"].set_number_value(12);
  return {{.experiment = MakeExperiment("138", v1::Experiment::PENDING),
           .waits_for = "no node has 2 free GPUs (NO_CAPACITY)"},
          {.experiment = set, .children = {first, MakeExperiment("14.2", v1::Experiment::CREATED)}},
          {.experiment = MakeExperiment("3", v1::Experiment::KILLED, "anna")}};
}

TEST(StatusView, List) {
  auto rows = Listed();
  rows[1].children.clear();
  ExpectGolden("status_list", ExperimentList(MakeViewer(), rows, {}));
}
TEST(StatusView, LongListOfAllUsers) {
  ExpectGolden("status_list_long", ExperimentList(MakeViewer(), Listed(), {.user = true, .long_form = true}));
}
TEST(StatusView, LongListInAscii) {
  ExpectGolden("status_list_ascii", ExperimentList(MakeViewer({.utf8 = false}), Listed(), {.long_form = true}));
}
TEST(StatusView, ListInColour) {
  ExpectGolden("status_list_color", ExperimentList(MakeViewer({.tty = true, .color = true}), Listed(), {}));
}
TEST(StatusView, NamesAreAColumnWhereThereAreAnyAndLabelsInTheLongForm) {
  auto rows = Listed();
  rows[0].experiment.set_display_name("baseline");
  (*rows[2].experiment.mutable_labels())["owner"] = "anna";
  const std::string brief = ExperimentList(MakeViewer(), rows, {});
  EXPECT_EQ(brief.substr(0, brief.find('\n')), "ID      PROJECT        STATE      AGE         TYPE            NAME");
  EXPECT_NE(brief.find("Experiment      baseline\n"), brief.npos) << brief;
  const std::string full = ExperimentList(MakeViewer(), rows, {.long_form = true});
  EXPECT_NE(full.find("TYPE            NAME           LABELS         DURATION"), full.npos) << full;
  EXPECT_NE(full.find(" owner=anna "), full.npos) << full;
}
TEST(StatusView, Experiment) {
  ExpectGolden("status_experiment", ExperimentDetails(MakeViewer(), FinishedExperiment()));
}

TEST(StatusView, MessagesAreCutOnATerminalOnly) {
  const std::string whole = "Command python run.py --epochs 3 return code: 0";
  EXPECT_NE(ExperimentDetails(MakeViewer(), FinishedExperiment()).find(whole), std::string::npos);
  EXPECT_NE(ExperimentDetails(MakeViewer({.tty = true}), FinishedExperiment()).find(" Command python ru... 0 "),
            std::string::npos);
}

TEST(StatusView, CommandsHaveTheValuesOfTheirParameters) {
  v1::Experiment child = MakeExperiment("2.1", v1::Experiment::RUNNING);
  child.mutable_spec()->add_run("python run.py --lr {{lr}} --n {{ n }}");
  (*child.mutable_parameters())["n"] = "3";
  (*child.mutable_parameters())["lr"] = "0.1";
  EXPECT_NE(ExperimentDetails(MakeViewer(), child).find("\n  python run.py --lr 0.1 --n 3\n"), std::string::npos);
}

TEST(StatusView, AJobWithoutVariablesHasNoHeadingForThem) {
  EXPECT_EQ(JobDetails(MakeViewer(), MakeJob("2", "train", v1::Job::PENDING)).find("Environment"), std::string::npos);
}

TEST(StatusView, WaitingExperiment) {
  v1::Experiment experiment = MakeExperiment("7", v1::Experiment::PENDING);
  experiment.mutable_spec()->add_run("python run.py");
  v1::Job job = MakeJob("7", "train", v1::Job::PENDING);
  job.set_wait_reason("NO_CAPACITY");
  job.set_wait_message("no node has 2 free GPUs");
  *experiment.add_jobs() = job;
  ExpectGolden("status_waiting", ExperimentDetails(MakeViewer(), experiment));
}

TEST(StatusView, Set) {
  v1::Experiment set = Listed()[1].experiment;
  *set.add_jobs() = MakeJob("14", "build", v1::Job::FINISHED);
  ExpectGolden("status_set", SetDetails(MakeViewer(), set, Listed()[1].children));
}

TEST(StatusView, Job) {
  v1::Job job = MakeJob("2", "train", v1::Job::FAILED);
  job.set_reason("ERROR");
  job.set_message("Command python run.py return code: 3");
  job.set_exit_code(3);
  job.set_node("worker1");
  job.set_attempt_count(2);
  job.add_commands("python run.py");
  (*job.mutable_environment())["LR"] = "1e-6";
  (*job.mutable_environment())["EPOCHS"] = "evil\x1b[2J";
  v1::Attempt* attempt = job.add_attempts();
  attempt->set_number(1);
  attempt->set_state(v1::Attempt::FAILED);
  attempt->set_node("worker1");
  attempt->mutable_start_time()->set_seconds(1'700'000'000);
  attempt->mutable_end_time()->set_seconds(1'700'000'003);
  attempt->set_message("node worker1 does not know the attempt any more");
  attempt->set_log_state(v1::Attempt::TRUNCATED);
  attempt->set_log_bytes(4096);
  ExpectGolden("status_job", JobDetails(MakeViewer(), job));
}

TEST(StatusView, WhatIsNotStoredOfALogIsSaid) {
  v1::Job job = MakeJob("2", "train", v1::Job::RUNNING);
  v1::Attempt* attempt = job.add_attempts();
  attempt->set_number(1);
  attempt->set_state(v1::Attempt::RUNNING);
  v1::LogBacklog* backlog = attempt->mutable_log_backlog();
  backlog->mutable_oldest_time()->set_seconds(1'700'000'000);
  const std::string since = "since 2023-11-14T22:13:20Z";
  EXPECT_EQ(BacklogText(*attempt), "the end of the log is not stored yet, " + since);
  backlog->set_bytes(3 << 20);
  const std::string text = "3.0 MB of the log are not stored yet, the oldest of them " + since;
  EXPECT_EQ(BacklogText(*attempt), text);
  EXPECT_NE(JobDetails(MakeViewer(), job).find("Log: attempt 1: " + text + "\n"), std::string::npos);
  v1::Experiment experiment = MakeExperiment("2", v1::Experiment::RUNNING);
  *experiment.add_jobs() = job;
  EXPECT_NE(ExperimentDetails(MakeViewer(), experiment).find("\n2.train: " + text + "\n"), std::string::npos);
  const std::string lines = BacklogLines(job, "paul");
  const std::string list = ExperimentList(MakeViewer(), {{.experiment = experiment, .backlog = lines}}, {});
  EXPECT_NE(list.find("\n\n2.train: " + text + "\n"), std::string::npos) << list;
  backlog->set_lost_bytes(5 << 20);
  EXPECT_EQ(BacklogText(*attempt), text + "; 5.0 MB before them are lost: more waited than the node keeps");
}

TEST(Json, HasOneShape) {
  ExpectGolden("status_json", JsonObject()
                                  .One("experiment", MakeExperiment("3", v1::Experiment::KILLED))
                                  .Many("children", std::vector<v1::Experiment>(2))
                                  .Text());
  EXPECT_EQ(JsonObject().Many("users", std::vector<v1::Experiment>()).Text(), "{\"version\":1,\"users\":[]}\n");
}

TEST(NodeView, ShowsNodesAndGpus) {
  v1::Node node;
  node.set_name("nodes/ip-172-31-29-130");
  node.set_ready(true);
  node.set_cpus(32);
  node.set_memory_bytes(std::int64_t{480} << 30);
  node.set_limits_enforced(true);
  node.set_gpu_driver_version("535.1");
  for (int i = 0; i < 2; ++i) {
    v1::Gpu* gpu = node.add_gpus();
    gpu->set_index(i);
    gpu->set_model("Tesla K80");
    gpu->set_memory_bytes(std::int64_t{11} << 30);
  }
  node.add_notes("jobs get PIP_INDEX_URL without the password in it");
  v1::Node lost;
  lost.set_name("nodes/b");
  lost.set_message("silent for 40 s");
  const std::vector<v1::Node> nodes = {node, lost};
  ExpectGolden("system_info", absl::StrCat(NodeTable({}, nodes, false), "\n", NodeTable({}, nodes, true), "\n",
                                           GpuTable({}, nodes), "\n", NodeNotes(nodes)));
}

TEST(SpecView, ShowsPlanAndNormalForm) {
  const auto spec = spec::ParseSpec(
      "project: census\ntrain:\n  framework: tensorflow\n  resources: {cpus: 2, gpus: 1}\n  concurrency: 4\n"
      "  parameters: {lr: [1e-6, 0.1], n: {range: {min: 1, max: 3, step: 1}}}\n  run: python a.py {{lr}} {{n}}\n",
      "riseml.yml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  ExpectGolden("plan", absl::StrCat(PlanText(*spec), "\n", NormalJson(*spec, 2), "\n"));
}

// Files that are uploaded, and what was left out, most of it for one reason each.
sync::Snapshot SampleSnapshot() {
  sync::Snapshot snapshot;
  snapshot.total_bytes = 60 << 20;
  for (const std::string name : {"big.bin", "small.py"}) {
    sync::SnapshotFile file;
    file.file.path = name;
    file.file.stamp.bytes = name == "big.bin" ? (60 << 20) - 10 : 10;
    if (name == "small.py") file.file.why = "tracked by git (*.py in .gitignore)";
    snapshot.files.push_back(file);
  }
  sync::Scan& scan = snapshot.scan;
  scan.skipped = {{.path = ".env", .reason = "secret", .secret = true},
                  {.path = ".git/", .reason = "git's own directory", .expected = true},
                  {.path = "a.log", .reason = "*.log in .gitignore", .bytes = 10},
                  {.path = "ckpt/", .reason = "ckpt/ in .gitignore", .files = 12, .bytes = 500 << 20},
                  {.path = "data.xml", .reason = "/data.xml in .gitignore", .dvc = true, .bytes = 100},
                  {.path = "loader.py", .reason = "lo* in .gitignore", .bytes = 20},
                  {.path = "riseml.yml", .reason = "settings", .expected = true},
                  {.path = "runs/",
                   .reason = "runs/ in .gitignore",
                   .partly = true,
                   .files = 2000,
                   .bytes = 9000,
                   .measured = false},
                  {.path = "table.csv", .reason = "*.csv in .risemlignore", .tracked = true, .bytes = 5},
                  {.path = "venv/", .reason = "virtual environment", .expected = true, .files = 0, .measured = false}};
  scan.skipped_count = 19;
  scan.directories = {"checkpoints"};
  scan.links_outside = {"data -> /mnt/data", "images -> /data/images"};
  scan.links_to_left_out = {"best -> ckpt/1.pt"};
  scan.tracked_secrets = {"docker/.env"};
  scan.empty_submodules = {"lib"};
  scan.in_git = true;
  snapshot.lfs_pointers = {"weights.bin"};
  snapshot.vanished = {"tmp1"};
  return snapshot;
}

TEST(SyncView, NamesWhatWasLeftOutAndAdvises) {
  const sync::Snapshot snapshot = SampleSnapshot();
  const sync::UploadSize all = {
      .files = 2, .bytes = 60 << 20, .objects = 3, .largest = {&snapshot.files[0], &snapshot.files[1]}};
  ExpectGolden("sync_notes",
               absl::StrCat(SyncTitle(snapshot, all), "\n", SyncTitle(snapshot, {.files = 1, .bytes = 9, .objects = 2}),
                            "\n", SyncTitle(snapshot, {}), "\n", SyncNotes(snapshot, all), MovingNotes({"log.txt"})));
  EXPECT_EQ(SyncNotes(sync::Snapshot(), {}), "");
}

TEST(SyncView, DryRunListsEverything) { ExpectGolden("dry_run", DryRunText({}, SampleSnapshot())); }

TEST(SortByValue, NumbersThenTextsThenNothing) {
  std::vector<v1::Experiment> children(5);
  for (int i = 0; i < 5; ++i) children[i].set_name(absl::StrCat(i + 1));
  (*children[0].mutable_result()->mutable_fields())["loss"].set_number_value(10);
  (*children[1].mutable_parameters())["loss"] = "9.5";
  (*children[2].mutable_result()->mutable_fields())["loss"].set_string_value("diverged");
  (*children[4].mutable_result()->mutable_fields())["loss"].set_number_value(-1);
  SortByValue("loss", children);
  std::string order;
  for (const v1::Experiment& child : children) order += child.name();
  EXPECT_EQ(order, "52134");
}

}  // namespace
}  // namespace riseml::cli
