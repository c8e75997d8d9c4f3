// The schema: every row of the accept and reject table, the rules beyond it, and the words of the errors.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr absl::string_view kImage = "  image: x\n";
constexpr absl::string_view kResources = "  resources: {}\n";
constexpr absl::string_view kRun = "  run: a\n";

// A file whose line 3 is `line`, a key of `train`, and that is otherwise complete.
std::string WithTrain(absl::string_view line) {
  std::string text = absl::StrCat("project: ab\ntrain:\n  ", line, "\n");
  if (!absl::StartsWith(line, "image:")) absl::StrAppend(&text, kImage);
  if (!absl::StartsWith(line, "resources:")) absl::StrAppend(&text, kResources);
  if (!absl::StartsWith(line, "run:")) absl::StrAppend(&text, kRun);
  return text;
}

// The same with a tensorflow section in line 3.
std::string WithTensorFlow(absl::string_view fields) {
  return WithTrain(absl::StrCat("tensorflow: {", fields, "}\n  framework: tensorflow"));
}

class Accepted : public testing::TestWithParam<std::string> {};

TEST_P(Accepted, Parses) {
  const auto spec = ParseSpec(GetParam(), "f");
  EXPECT_TRUE(spec.ok()) << GetParam() << spec.status();
}

INSTANTIATE_TEST_SUITE_P(
    Train, Accepted,
    testing::Values(WithTrain("resources: {}"), WithTrain("resources: {cpus: 0.01}"),
                    WithTrain("resources: {mem: 0.5}"), WithTrain("resources: {mem: 1e3}"),
                    WithTrain("resources: {gpus: 0}"), WithTrain("resources: {gpus: 010}"), WithTrain("run: \"a\\nb\""),
                    WithTrain("run: [a, b]"), WithTrain("install: a"), WithTrain("install: [a]"),
                    WithTrain("install: []"), WithTrain("framework: tensorflow"), WithTrain("tensorflow: {}"),
                    WithTrain("parameters: {a: 1}"), WithTrain("parameters: {a: true}"),
                    WithTrain("parameters: {a: [1, 2.5]}"), WithTrain("parameters: {a: [x, y]}"),
                    WithTrain("parameters: {a: [yes, no]}"), WithTrain("parameters: ~"), WithTrain("parameters: {}"),
                    WithTrain("parameters: {a: {range: {min: 1, max: 2, step: 1, more: x}, other: 1}}"),
                    WithTrain("parameters: {a: ''}"), WithTrain("parameters: {a: .inf}"),
                    WithTrain("concurrency: 100")));

INSTANTIATE_TEST_SUITE_P(TensorFlow, Accepted,
                         testing::Values(WithTensorFlow(""), WithTensorFlow("version: 1.5.0"),
                                         WithTensorFlow("version: 1.5.0-gpu"), WithTensorFlow("version: 1.5.0rc1"),
                                         WithTensorFlow("version: latest"), WithTensorFlow("version: nightly-latest"),
                                         WithTensorFlow("version: ~"), WithTensorFlow("tensorboard: true"),
                                         WithTensorFlow("tensorboard: False"), WithTensorFlow("distributed: ~"),
                                         WithTensorFlow("distributed: {}"), WithTensorFlow("distributed: {ps: 1}"),
                                         WithTensorFlow("distributed: {worker: 3}"),
                                         WithTensorFlow("distributed: {ps: {}}"),
                                         WithTensorFlow("distributed: {master: {}}"), WithTensorFlow("horovod: ~"),
                                         WithTensorFlow("horovod: {}"), WithTensorFlow("horovod: {workers: 2}"),
                                         WithTensorFlow("horovod: {workers: {count: 2, processes: ~}}"),
                                         WithTensorFlow("horovod: {version: 0.11.3}"),
                                         WithTensorFlow("horovod: {}, distributed: {ps: 1}")));

INSTANTIATE_TEST_SUITE_P(Top, Accepted,
                         testing::Values("project: ab", "project: a_b", "project: A-1", "project: 1a", "project: yes",
                                         "project: ab\ndeploy: ~", "project: ab\ndeploy: {image: x}", "{project: ab}"));

struct Reject {
  std::string name;
  std::string text;
  std::string at;    // "line:column"
  std::string path;  // empty: a sentence without a path
  std::string says;
};

class Rejected : public testing::TestWithParam<Reject> {};

TEST_P(Rejected, SaysWhereOnWhatPathAndWhatInstead) {
  const Reject& row = GetParam();
  const auto spec = ParseSpec(row.text, "f");
  ASSERT_FALSE(spec.ok()) << row.text;
  EXPECT_TRUE(HasReason(spec.status(), Reason::kInvalidSpec));
  const std::string message(spec.status().message());
  const std::size_t end = message.find('\n');
  EXPECT_THAT(message, StartsWith(absl::StrCat("f:", row.at, ": ")));
  EXPECT_THAT(message.substr(0, end), HasSubstr(row.says));
  EXPECT_EQ(end == std::string::npos ? "" : message.substr(end + 1),
            row.path.empty() ? "" : absl::StrCat("On path: \"", row.path, "\""));
}

Reject OnResources(const std::string& name, const std::string& fields, const std::string& key,
                   const std::string& says) {
  return {name, WithTrain(absl::StrCat("resources: {", fields, "}")), absl::StrCat("3:", 15 + key.size() + 2),
          absl::StrCat("train: resources: ", key, ":"), says};
}

INSTANTIATE_TEST_SUITE_P(
    Resources, Rejected,
    testing::Values(
        OnResources("NoCpus", "cpus: 0", "cpus", "0 is less than the minimum of 0.01: write cores"),
        OnResources("CpusAsText", "cpus: \"1\"", "cpus", "'1' is not of type 'number'"),
        OnResources("CpusNull", "cpus: ~", "cpus", "None is not of type 'number'"),
        OnResources("CpusInfinite", "cpus: .inf", "cpus", "not a finite number"),
        OnResources("CpusNan", "cpus: .nan", "cpus", "not a finite number"),
        OnResources("CpusBoolean", "cpus: true", "cpus", "True is not of type 'number'"),
        OnResources("MemWithUnit", "mem: 1G", "mem", "'1G' is not of type 'number': write megabytes"),
        OnResources("GpusFraction", "gpus: 1.5", "gpus", "1.5 is not of type 'integer'"),
        OnResources("GpusWholeFloat", "gpus: 1.0", "gpus", "1.0 is not of type 'integer'"),
        OnResources("GpusNegative", "gpus: -1", "gpus", "-1 is less than the minimum of 0: write whole GPUs"),
        OnResources("GpusBoolean", "gpus: true", "gpus", "True is not of type 'integer'"),
        OnResources("GpusHuge", "gpus: 99999999999999999999", "gpus", "greater than the maximum"),
        OnResources("GpusHugeNegative", "gpus: -99999999999999999999", "gpus", "less than the minimum"),
        Reject{"MisspelledCpus", WithTrain("resources: {cpu: 1}"), "3:15", "train: resources:",
               "Additional properties are not allowed ('cpu' was unexpected): did you mean 'cpus'?"},
        Reject{"LegacyMaster", WithTrain("resources: {master: {}}"), "3:15",
               "train: resources:", "'master' belongs under 'train: tensorflow: distributed:'"},
        Reject{"NoMap", WithTrain("resources: 5"), "3:14", "train: resources:", "5 is not of type 'object'"},
        Reject{"Null", WithTrain("resources:"), "3:3", "train: resources:", "None is not of type 'object'"},
        Reject{"Missing", "project: ab\ntrain:\n  image: x\n  run: a\n", "3:3",
               "train:", "'resources' is a required property: add resources:"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Commands, Rejected,
    testing::Values(
        Reject{"RunNumber", WithTrain("run: 5"), "3:8", "train: run:", "5 is not valid under any of the given schemas"},
        Reject{"RunMixed", WithTrain("run: [a, 5]"), "3:12",
               "train: run:", "['a', 5] is not valid under any of the given schemas: 5 is not of type 'string'"},
        Reject{"RunMap", WithTrain("run: {a: b}"), "3:8", "train: run:", "{'a': 'b'} is not valid under any"},
        Reject{"RunNull", WithTrain("run:"), "3:3", "train: run:", "None is not valid under any"},
        Reject{"RunEmptyList", WithTrain("run: []"), "3:8", "train: run:", "'run' must not be empty"},
        Reject{"RunEmptyText", WithTrain("run: ''"), "3:8", "train: run:", "'run' must not be empty"},
        Reject{"RunMissing", "project: ab\ntrain:\n  image: x\n  resources: {}\n", "3:3",
               "train:", "'run' is a required property"},
        Reject{"InstallNumber", WithTrain("install: 5"), "3:12", "train: install:", "5 is not valid under any"},
        Reject{"InstallMixed", WithTrain("install: [a, 5]"), "3:16", "train: install:", "5 is not of type 'string'"},
        Reject{"InstallNull", WithTrain("install:"), "3:3", "train: install:", "None is not valid under any"},
        Reject{"NoImage", "project: ab\ntrain:\n  resources: {}\n  run: a\n", "3:3", "", "No image configured"},
        Reject{"ImageEmpty", WithTrain("image: ''"), "3:10", "", "No image configured"},
        Reject{"ImageNumber", WithTrain("image: 5"), "3:10", "train: image:", "5 is not of type 'string'"},
        Reject{"ImageBlank", WithTrain("image: a b"), "3:10", "", "is not the name of an image"},
        Reject{"ImageOption", WithTrain("image: --x"), "3:10", "", "is not the name of an image"},
        Reject{"LegacyImage", WithTrain("image: {name: x, install: [a]}"), "3:10",
               "train: image:", "is not of type 'string': write image: NAME, and 'install' beside it"},
        Reject{"Concurrency0", WithTrain("concurrency: 0"), "3:16",
               "train: concurrency:", "less than the minimum of 1"},
        Reject{"ConcurrencyText", WithTrain("concurrency: \"2\""), "3:16",
               "train: concurrency:", "'2' is not of type 'integer'"},
        Reject{"ConcurrencyFloat", WithTrain("concurrency: 1.0"), "3:16",
               "train: concurrency:", "not of type 'integer'"},
        Reject{"ConcurrencyNull", WithTrain("concurrency: ~"), "3:16", "train: concurrency:", "not of type 'integer'"},
        Reject{"ConcurrencyBoolean", WithTrain("concurrency: true"), "3:16",
               "train: concurrency:", "not of type 'integer'"},
        Reject{"LegacyParams", WithTrain("params: {}"), "3:3", "train:", "write 'parameters'"},
        Reject{"LegacyConcurrency", WithTrain("concurrent-experiments: 2"), "3:3", "train:", "write 'concurrency'"},
        Reject{"LegacyParallel", WithTrain("max-parallel-experiments: 2"), "3:3", "train:", "write 'concurrency'"},
        Reject{"InputsNumber", WithTrain("inputs: 2"), "3:11",
               "train: inputs:", "2 is not of type 'object', 'null': write names with the ids of experiments"},
        Reject{"InputNoId", WithTrain("inputs: {model: runs/7}"), "3:19",
               "train: inputs: model:", "'runs/7' is not the id of an experiment: write one"},
        Reject{"InputNull", WithTrain("inputs: {model: }"), "3:12",
               "train: inputs: model:", "is not the id of an experiment"},
        Reject{"InputName", WithTrain("inputs: {a/b: 7}"), "3:12",
               "train: inputs:", "'a/b': a name of an input has 1 to 63 letters"},
        Reject{"InputTwice", WithTrain("inputs: {a-b: 7, A_B: 8}"), "3:20",
               "train: inputs:", "'a-b' and 'A_B' set the same variable RISEML_INPUT_A_B: rename one of them"},
        Reject{"Misplaced", WithTrain("cpus: 2"), "3:3", "train:", "'cpus' belongs under 'train: resources:'"},
        Reject{"OtherFramework", WithTrain("pytorch: {}"), "3:3", "train:", "known keys here are 'resources', 'run'"},
        Reject{"WrongCase", WithTrain("Run: a"), "3:3", "train:", "did you mean 'run'?"},
        Reject{"DashedKey", WithTrain("frame-work: a"), "3:3", "train:", "did you mean 'framework'?"},
        Reject{"KeyIsANumber", WithTrain("5: a"), "3:3", "train:", "the key 5 is not of type 'string'"}),
    [](const auto& info) { return info.param.name; });

Reject OnTensorFlow(const std::string& name, const std::string& fields, int column, const std::string& path,
                    const std::string& says) {
  const std::string full = path.empty()  ? ""
                           : path == "." ? "train: tensorflow:"
                                         : absl::StrCat("train: tensorflow: ", path);
  return {name, WithTensorFlow(fields), absl::StrCat("3:", column), full, says};
}

constexpr char kNoForm[] = "is not valid under any of the given schemas: ";

INSTANTIATE_TEST_SUITE_P(
    TensorFlow, Rejected,
    testing::Values(
        Reject{"Framework", WithTrain("framework: keras"), "3:14",
               "train: framework:", "'keras' is not one of ['tensorflow']: write framework: tensorflow"},
        Reject{"FrameworkNull", WithTrain("framework:"), "3:3",
               "train: framework:", "None is not one of ['tensorflow']"},
        Reject{"TensorFlowNull", WithTrain("tensorflow:"), "3:3", "train: tensorflow:", "None is not of type 'object'"},
        OnTensorFlow("VersionFloat", "version: 1.5", 25,
                     "version:", "1.5 is not of type 'string', 'null': write all three"),
        OnTensorFlow("VersionShort", "version: \"1.5\"", 25, "version:", "'1.5' does not match"),
        OnTensorFlow("VersionV", "version: v1.5.0", 25, "version:", "'v1.5.0' does not match"),
        OnTensorFlow("VersionNightly", "version: nightly", 25, "version:", "'nightly' does not match"),
        OnTensorFlow("VersionLatestGpu", "version: latest-gpu", 25, "version:", "'latest-gpu' does not match"),
        OnTensorFlow("VersionNoTag", "version: '1.5.0 x'", 25, "version:", "'1.5.0 x' does not match"),
        OnTensorFlow("TensorboardYes", "tensorboard: yes", 29, "tensorboard:", "'yes' is not of type 'boolean'"),
        OnTensorFlow("TensorboardNull", "tensorboard: ~", 29, "tensorboard:", "None is not of type 'boolean'"),
        OnTensorFlow("TensorboardNumber", "tensorboard: 1", 29,
                     "tensorboard:", "1 is not of type 'boolean': write true or false"),
        OnTensorFlow("LegacyPsCount", "ps-count: 1", 16, ".", "write distributed: {ps: N}"),
        OnTensorFlow("LegacyWorkerCount", "worker-count: 1", 16, ".", "write distributed: {worker: N}"),
        OnTensorFlow("DistributedTrue", "distributed: true", 29,
                     "distributed:", absl::StrCat("True ", kNoForm, "write {ps: N, worker: N}")),
        OnTensorFlow("DistributedFalse", "distributed: false", 29,
                     "distributed:", absl::StrCat("False ", kNoForm, "write {ps: N, worker: N}, or leave the key out")),
        OnTensorFlow("NoPs", "distributed: {ps: 0}", 34, "distributed:",
                     absl::StrCat("{'ps': 0} ", kNoForm, "at \"ps:\" 0 is less than the minimum of 1: write")),
        OnTensorFlow("PsNull", "distributed: {ps: ~}", 34, "distributed:", kNoForm),
        OnTensorFlow("PsText", "distributed: {ps: a}", 34, "distributed:", "{count: N, resources: {…}}"),
        OnTensorFlow("PsCount0", "distributed: {ps: {count: 0}}", 42, "distributed:", "at \"ps: count:\" 0 is less"),
        OnTensorFlow("PsResources", "distributed: {ps: {resources: {gpu: 1}}}", 47,
                     "distributed:", "did you mean 'gpus'?"),
        OnTensorFlow("MasterNumber", "distributed: {master: 1}", 38, "distributed:", "1 is not of type 'object'"),
        OnTensorFlow("MasterCount", "distributed: {master: {count: 1}}", 39, "distributed:", "'count' was unexpected"),
        OnTensorFlow("UnknownRole", "distributed: {works: 1}", 30,
                     "distributed:", "'works' was unexpected): did you mean 'worker'?"),
        OnTensorFlow("HorovodNumber", "horovod: 2", 25, "horovod:", absl::StrCat("2 ", kNoForm, "write {workers: N}")),
        OnTensorFlow("HorovodNoWorkers", "horovod: {workers: 0}", 35, "horovod:", "0 is less than the minimum of 1"),
        OnTensorFlow("HorovodWorkersText", "horovod: {workers: a}", 35, "horovod:", "{count: N, processes: N}"),
        OnTensorFlow("HorovodNoProcesses", "horovod: {workers: {processes: 0}}", 47,
                     "horovod:", "0 is less than the minimum of 1"),
        OnTensorFlow("HorovodResources", "horovod: {workers: {resources: {}}}", 36,
                     "horovod:", "'resources' was unexpected"),
        OnTensorFlow("HorovodUnknown", "horovod: {w: 1}", 26, "horovod:", "'w' was unexpected"),
        OnTensorFlow("HorovodVersionFloat", "horovod: {version: 0.11}", 35,
                     "horovod:", "0.11 is not of type 'string', 'null'"),
        OnTensorFlow("HorovodVersionNoTag", "horovod: {version: a b}", 35, "horovod:", "does not match"),
        OnTensorFlow("Both", "distributed: {ps: 1}, horovod: {workers: 1}", 47, "",
                     "You cannot use Distributed TensorFlow and Horovod at the same time!")),
    [](const auto& info) { return info.param.name; });

Reject OnParameter(const std::string& name, const std::string& value, int column, const std::string& path,
                   const std::string& says) {
  return {name, WithTrain(absl::StrCat("parameters: {a: ", value, "}")), absl::StrCat("3:", column), path, says};
}

constexpr char kA[] = "train: parameters: a:";

INSTANTIATE_TEST_SUITE_P(
    Parameters, Rejected,
    testing::Values(
        OnParameter("EmptyList", "[]", 19, kA, "[] is an empty list"),
        OnParameter("RangeInList", "[{range: {min: 1, max: 2, step: 1}}]", 20, kA, "a range cannot be one of"),
        OnParameter("NoRange", "{min: 1}", 19, kA, absl::StrCat("{'min': 1} ", kNoForm)),
        OnParameter("NoStep", "{range: {min: 1, max: 2}}", 27,
                    "train: parameters: a: range:", "'step' is a required property"),
        OnParameter("RangeNumber", "{range: 5}", 27, "train: parameters: a: range:", "5 is not of type 'object'"),
        OnParameter("RangeText", "{range: {min: a, max: 2, step: 1}}", 33,
                    "train: parameters: a: range: min:", "'a' is not of type 'number'"),
        OnParameter("RangeInfinite", "{range: {min: 1, max: .inf, step: 1}}", 41,
                    "train: parameters: a: range: max:", "not a finite number"),
        OnParameter("Step0", "{range: {min: 1, max: 2, step: 0}}", 50, "",
                    "the step of a range must be greater than 0"),
        OnParameter("StepNegative", "{range: {min: 1, max: 2, step: -1}}", 50, "", "must be greater than 0, not -1"),
        OnParameter("MinOverMax", "{range: {min: 3, max: 2, step: 1}}", 33, "", "not be greater than its max: 3 > 2"),
        OnParameter("HugeRange", "{range: {min: 0, max: 1e300, step: 1e-300}}", 27, "", "more than 10000 combinations"),
        OnParameter("LongRange", "{range: {min: 1, max: 10001, step: 1}}", 27, "", "more than 10000 combinations"),
        OnParameter("RangeLeavesIntegers", "{range: {min: 99999999999999999999, max: 99999999999999999999, step: 1}}",
                    27, "", "leaves the 64-bit integers"),
        Reject{
            "TooManyCombinations",
            WithTrain("parameters: {a: {range: {min: 1, max: 73, step: 1}}, b: {range: {min: 1, max: 137, step: 1}}}"),
            "3:15", "", "more than 10000 combinations"},
        Reject{"TooManyBytes",
               WithTrain(absl::StrCat("parameters: {a: {range: {min: 1, max: 10000, step: 1}}, b: ",
                                      std::string(8000, 'x'), "}")),
               "3:15", "", "larger than 64 MB"},
        Reject{"Number", WithTrain("parameters: 5"), "3:15", "train: parameters:", "5 is not of type 'object', 'null'"},
        Reject{"Text", WithTrain("parameters: x"), "3:15", "train: parameters:", "'x' is not of type 'object', 'null'"},
        Reject{"List", WithTrain("parameters: [x]"), "3:15", "train: parameters:", "is not of type 'object', 'null'"},
        Reject{"NameIsANumber", WithTrain("parameters: {1: 2}"), "3:16",
               "train: parameters:", "the name 1 is not of type 'string'"},
        Reject{"NameIsABoolean", WithTrain("parameters: {true: 2}"), "3:16", "train: parameters:", "the name True"},
        Reject{"NameWithDot", WithTrain("parameters: {a.b: 2}"), "3:16",
               "train: parameters:", "'a.b' cannot be a parameter"},
        Reject{"NameIsEmpty", WithTrain("parameters: {'': 2}"), "3:16", "train: parameters:", "cannot be a parameter"},
        Reject{"NamePath", WithTrain("parameters: {path: 2}"), "3:16",
               "train: parameters:", "environment variable PATH"},
        Reject{"NameLoader", WithTrain("parameters: {ld-preload: 2}"), "3:16",
               "train: parameters:", "variable LD_PRELOAD"},
        Reject{"Undeclared", WithTrain("run: a {{x}}\n  parameters: {a: 1}"), "3:8", "",
               "the placeholder {{x}} names no parameter"},
        Reject{"UndeclaredInList", WithTrain("run: [\"{{a}}\", \"{{b}}\"]\n  parameters: {a: 1}"), "3:18", "",
               "{{b}} names no"},
        Reject{"CommandTooLong",
               WithTrain(absl::StrCat("run: \"{{a}}{{a}}{{a}}{{a}}{{a}}\"\n  parameters: {a: ",
                                      std::string(30'000, 'x'), "}")),
               "3:8", "", "a command is longer than 131071 bytes"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Top, Rejected,
    testing::Values(
        Reject{"OneCharacter", "project: a", "1:10", "", "Project name must start and end with an alphanumeric"},
        Reject{"EndsWithDash", "project: ab-", "1:10", "", "instead of 'ab-'"},
        Reject{"BeginsWithDash", "project: -ab", "1:10", "", "Project name must start"},
        Reject{"Dot", "project: a.b", "1:10", "", "Project name must start"},
        Reject{"Accent", "project: a\u00e9b", "1:10", "", "Project name must start"},
        Reject{"Newline", "project: \"ab\\n\"", "1:10", "", "instead of 'ab\\n'"},
        Reject{"Number", "project: 12", "1:10", "project:", "12 is not of type 'string': write the project's name"},
        Reject{"NoProject", "train: {}", "1:1", "", "'project' is a required property: add project: NAME"},
        Reject{"Empty", "", "1:1", "", "None is not of type 'object': the file is empty"},
        Reject{"CommentOnly", "# x\n", "1:1", "", "the file is empty"},
        Reject{"List", "- a\n", "1:1", "", "['a'] is not of type 'object'"},
        Reject{"Text", "hello\n", "1:1", "", "'hello' is not of type 'object'"},
        Reject{"UnknownKey", "project: ab\ntrian: {}\n", "2:1", "", "('trian' was unexpected): did you mean 'train'?"},
        Reject{"TrainKeyOnTop", "project: ab\nrun: a\n", "2:1", "", "'run' belongs under 'train:'"},
        Reject{"TrainNull", "project: ab\ntrain:\n", "2:1", "train:", "None is not of type 'object'"},
        Reject{"TrainList", "project: ab\ntrain: []\n", "2:8", "train:", "[] is not of type 'object'"},
        Reject{"TrainEmpty", "project: ab\ntrain: {}\n", "2:8", "train:", "'resources' is a required property"},
        Reject{"ControlsInKey", "project: ab\n\"a\\e[1m\\nb\": 1\n", "2:1", "", "'a\\x1b[1m\\nb' was unexpected"}),
    [](const auto& info) { return info.param.name; });

TEST(Schema, AnErrorIsOneSentenceAndAPath) {
  EXPECT_EQ(ParseSpec(WithTrain("resources: {gpus: 1.5}"), "a/riseml.yml").status().message(),
            "a/riseml.yml:3:21: 1.5 is not of type 'integer': write whole GPUs, gpus: 1, or leave the key out\n"
            "On path: \"train: resources: gpus:\"");
}

TEST(Schema, DeployIsIgnoredWithAWarning) {
  const auto spec = ParseSpec("project: ab\ndeploy: {x: y}\n", "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_THAT(spec->warnings, ElementsAre("f:2:9: 'deploy' is ignored: only 'train' can be run"));
  EXPECT_THAT(ParseSpec("project: ab\ndeploy: ~\n", "f")->warnings, IsEmpty());
}

TEST(Schema, TensorFlowWithoutFrameworkIsIgnoredWithAWarning) {
  const auto spec = ParseSpec(WithTrain("tensorflow: {version: 1.5.0}"), "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(spec->train->tensorflow.has_value());
  EXPECT_THAT(spec->warnings, ElementsAre(HasSubstr("'tensorflow' is ignored without framework")));
}

TEST(Schema, SharedVariablesAreWarnedAbout) {
  const auto spec =
      ParseSpec(WithTrain("run: x {{a-b}} {{a_b}} {{output-dir}}\n  parameters: {a-b: 1, a_b: 2, output-dir: 3}"), "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_THAT(spec->warnings, ElementsAre(HasSubstr("'a-b' and 'a_b' share the environment variable A_B"),
                                          HasSubstr("OUTPUT_DIR belongs to the job")));
}

std::vector<std::string> WarningsOf(absl::string_view train) {
  const auto spec = ParseSpec(WithTrain(train), "f");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? spec->warnings : std::vector<std::string>();
}

TEST(Schema, Case05ParametersThatNothingUsesAreWarnedAbout) {
  EXPECT_THAT(WarningsOf("run: python a.py\n  parameters: {lr: [1, 2]}"),
              ElementsAre(HasSubstr("f:3:8: no command uses the parameter 'lr': write {{lr}} in 'run'")));
  EXPECT_THAT(WarningsOf("run: 'python a.py --lr {{ lr }}'\n  parameters: {lr: [1, 2]}"), IsEmpty());
  EXPECT_THAT(WarningsOf("run: python a.py --lr $LR\n  parameters: {lr: [1, 2]}"), IsEmpty());
}

TEST(Schema, ValuesThatTheShellWouldChangeAreWarnedAbout) {
  const auto warnings = [](absl::string_view run, absl::string_view value) {
    return WarningsOf(absl::StrCat("run: |\n    ", run, "\n  parameters: {x: [", value, "]}"));
  };
  EXPECT_THAT(warnings("a --opt {{x}}", "'two words'"), ElementsAre(HasSubstr("write \"$X\" instead of {{x}}")));
  EXPECT_THAT(warnings("a --opt '{{x}}'", "'two words'"), IsEmpty());
  EXPECT_THAT(warnings("a --opt \"{{x}}\"", "'two; words'"), IsEmpty());
  EXPECT_THAT(warnings("a --opt \"{{x}}\"", "'costs $5'"), ElementsAre(HasSubstr("the shell interprets")));
  EXPECT_THAT(warnings("a {{x}}", "'a;b'"), ElementsAre(HasSubstr("the value a;b of {{x}}")));
  EXPECT_THAT(warnings("a {{x}}", "[64, 64]"), IsEmpty());
  EXPECT_THAT(warnings("a --lr {{x}}", "-1e-3"), ElementsAre(HasSubstr("looks like an option: write --OPTION={{x}}")));
  EXPECT_THAT(warnings("a --lr={{x}}", "-1e-3"), IsEmpty());
}

TEST(Schema, ForgottenParametersAreWarnedAbout) {
  EXPECT_THAT(WarningsOf("run: 'a --lr {{lr}}'"), ElementsAre(HasSubstr("{{lr}} is text, since the file declares no")));
  EXPECT_THAT(WarningsOf("run: 'docker ps --format \"{{json}}\"'"), IsEmpty());
}

TEST(Schema, Case08VariablesOfTheCommands) {
  const auto spec = ParseSpec(WithTrain("env: {WANDB_MODE: offline, N: 0x10, ON: true, RATE: '{{ lr }}'}\n"
                                        "  parameters: {lr: [1, 2]}"),
                              "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->train->env, ElementsAre(Pair("N", "0x10"), Pair("ON", "True"), Pair("RATE", "{{ lr }}"),
                                            Pair("WANDB_MODE", "offline")));
  EXPECT_TRUE(ParseSpec(WithTrain("env: {PYTHONPATH: src, LD_LIBRARY_PATH: /opt/lib}"), "f").ok());
  EXPECT_TRUE(ParseSpec(WithTrain("env: ~"), "f").ok());
}

TEST(Schema, Case08VariablesThatCannotBeSetAreRefused) {
  const auto says = [](absl::string_view line) {
    return std::string(ParseSpec(WithTrain(line), "f").status().message());
  };
  EXPECT_THAT(says("env: {PATH: /x}"), HasSubstr("every job gets its own PATH"));
  EXPECT_THAT(says("env: {RISEML_SOCKET: /x}"), HasSubstr("every job gets its own RISEML_SOCKET"));
  EXPECT_THAT(says("env: {a-b: 1}"), HasSubstr("'a-b' cannot be a variable"));
  EXPECT_THAT(says("env: {A: ~}"), HasSubstr("riseml train --env NAME"));
  EXPECT_THAT(says("env: {A: [1]}"), HasSubstr("write names with their values"));
  EXPECT_THAT(says("env: [A=1]"), HasSubstr("write names with their values"));
  EXPECT_THAT(says("env: {LR: 1}\n  parameters: {lr: [1, 2]}"), HasSubstr("the parameter 'lr' sets the variable LR"));
  EXPECT_THAT(says("env: {A: '{{x}}'}\n  parameters: {lr: [1, 2]}"), HasSubstr("{{x}} names no parameter"));
}

TEST(Schema, Case08SecretsAreNamed) {
  const auto spec = ParseSpec(WithTrain("secrets: [WANDB_API_KEY, GCP_KEY: file]"), "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->train->secrets.size(), 2u);
  EXPECT_EQ(spec->train->secrets[0].name, "GCP_KEY");
  EXPECT_TRUE(spec->train->secrets[0].as_file);
  EXPECT_EQ(spec->train->secrets[1].name, "WANDB_API_KEY");
  EXPECT_FALSE(spec->train->secrets[1].as_file);
  const auto says = [](absl::string_view line) {
    return std::string(ParseSpec(WithTrain(line), "f").status().message());
  };
  EXPECT_THAT(says("secrets: {A: b}"), HasSubstr("write the names of secrets"));
  EXPECT_THAT(says("secrets: [A: value]"), HasSubstr("is not a secret: write the names of secrets"));
  EXPECT_THAT(says("secrets: [PATH]"), HasSubstr("every job gets its own PATH"));
  EXPECT_THAT(says("secrets: [A, A]"), HasSubstr("the variable A is set twice"));
  EXPECT_THAT(says("secrets: [A]\n  env: {A: 1}"), HasSubstr("the variable A is set twice"));
}

TEST(Schema, DefaultsAreFilledIn) {
  const auto spec = ParseSpec(WithTrain("install: a"), "f");
  ASSERT_TRUE(spec.ok());
  const Train& train = *spec->train;
  EXPECT_EQ(train.resources, Resources{});
  EXPECT_THAT(train.install, ElementsAre("a"));
  EXPECT_THAT(train.run, ElementsAre("a"));
  EXPECT_EQ(train.framework, "");
  EXPECT_EQ(train.concurrency, 1);
  EXPECT_FALSE(train.has_parameters);
  EXPECT_TRUE(train.image_given);
  EXPECT_THAT(spec->warnings, IsEmpty());
}

TEST(Schema, AnEmptyInstallInstallsNothing) {
  EXPECT_THAT(ParseSpec(WithTrain("install: ''"), "f")->train->install, IsEmpty());
  EXPECT_THAT(ParseSpec(WithTrain("install: []"), "f")->train->install, IsEmpty());
}

}  // namespace
}  // namespace riseml::spec
