// The schema: every row of the accept and reject table, and the words of the errors.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"
#include "services/common/spec/parse.h"
#include "services/common/spec/spec_text.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

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
                         testing::Values("project: a_b\ndeploy: ~", "project: A-1\ndeploy: ~", "project: 1a\ndeploy: ~",
                                         "project: yes\ndeploy: ~", "project: ab\ndeploy: {image: x}",
                                         "{project: ab, deploy: }"));

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
        Reject{"RunOfNothing", WithTrain("run: ['', '  ', '# c']"), "3:8", "train: run:", "'run' must not be empty"},
        Reject{"RunEmptyText", WithTrain("run: ''"), "3:8", "train: run:", "'run' must not be empty"},
        Reject{"RunMissing", "project: ab\ntrain:\n  image: x\n  resources: {}\n", "3:3",
               "train:", "'run' is a required property"},
        Reject{"InstallNumber", WithTrain("install: 5"), "3:12", "train: install:", "5 is not valid under any"},
        Reject{"InstallMixed", WithTrain("install: [a, 5]"), "3:16", "train: install:", "5 is not of type 'string'"},
        Reject{"InstallNull", WithTrain("install:"), "3:3", "train: install:", "None is not valid under any"},
        Reject{"NoImage", "project: ab\ntrain:\n  resources: {}\n  run: a\n", "3:3", "", "No image configured"},
        Reject{"ImageEmpty", WithTrain("image: ''"), "3:10", "", "No image configured"},
        Reject{"RunColon", WithTrain("run: [echo, 'b', sed s/a: //]"), "3:20",
               "train: run:", "this command holds ': ', so that YAML takes 'sed s/a' for a key: put the whole command"},
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
        Reject{"RetriesText", WithTrain("retries: often"), "3:12",
               "train: retries:", "'often' is not of type 'integer'"},
        Reject{"RetriesTooMany", WithTrain("retries: 11"), "3:12",
               "train: retries:", "11 is greater than the maximum of 10: write a whole number of 0 to 10"},
        Reject{"RetriesNegative", WithTrain("retries: {error: -1}"), "3:20",
               "train: retries: error:", "-1 is less than the minimum of 0: write a whole number of 0 to 10, error: 2"},
        Reject{"RetriesKey", WithTrain("retries: {errors: 1}"), "3:13", "train: retries:", "error"},
        Reject{"PriorityTooHigh", WithTrain("priority: 101"), "3:13",
               "train: priority:", "101 is greater than the maximum of 100: write a whole number of -100 to 100"},
        Reject{"PriorityTooLow", WithTrain("priority: -101"), "3:13",
               "train: priority:", "-101 is less than the minimum of -100"},
        Reject{"RunTimeText", WithTrain("max_run_time: long"), "3:17",
               "train: max_run_time:", "'long' is not a run time: write whole seconds, or a time with units"},
        Reject{"RunTimeNegative", WithTrain("max_run_time: -90"), "3:17", "train: max_run_time:", "is not a run time"},
        Reject{"UnknownQueue", WithTrain("queue: gpu"), "3:10", "train: queue:", "there is no queue 'gpu'"},
        Reject{"RunTimeZero", WithTrain("max_run_time: 0s"), "3:17", "train: max_run_time:", "is not a run time"},
        Reject{"RunTimeFraction", WithTrain("max_run_time: 1500ms"), "3:17",
               "train: max_run_time:", "is not a run time"},
        Reject{"RunTimeEndless", WithTrain("max_run_time: inf"), "3:17", "train: max_run_time:", "is not a run time"},
        Reject{"SelectorList", WithTrain("node_selector: [a]"), "3:18",
               "train: node_selector:", "write labels with their values"},
        Reject{"SelectorBadLabel", WithTrain("node_selector: {'a b': c}"), "3:19",
               "train: node_selector:", "'a b' cannot be a label of a node or its value"},
        Reject{"InputsNumber", WithTrain("inputs: 2"), "3:11",
               "train: inputs:", "2 is not of type 'object', 'null': write names with the ids of experiments"},
        Reject{"InputNoId", WithTrain("inputs: {model: runs/7}"), "3:19",
               "train: inputs: model:", "'runs/7' is not the id of an experiment: write one"},
        Reject{"InputNull", WithTrain("inputs: {model: }"), "3:12",
               "train: inputs: model:", "is not the id of an experiment"},
        Reject{"InputName", WithTrain("inputs: {a/b: 7}"), "3:12",
               "train: inputs:", "'a/b': an input name has 1 to 63 letters"},
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
                    27, "", "do not fit into 64-bit integers"),
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

}  // namespace
}  // namespace riseml::spec
