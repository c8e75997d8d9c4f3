// Reading: syntax, limits, positions, scalars, aliases; YAML and JSON alike.
#include "services/common/spec/parse.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"
#include "services/common/spec/node.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::string_view kBase = "project: ab\ntrain:\n  image: x\n  resources: {}\n  run: a\n";

struct Bad {
  std::string name;
  std::string text;
  std::string at;    // "line:column"
  std::string says;  // part of the message
};

std::string Lines(int count, absl::string_view line) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, line);
  return out;
}

// Ten lists, each of ten aliases of the one before.
std::string AliasBomb() {
  std::string out = "project: ab\nx0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int i = 1; i < 10; ++i) {
    absl::StrAppend(&out, "x", i, ": &x", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&out, j > 0 ? ", " : "", "*x", i - 1);
    out += "]\n";
  }
  return out;
}

TEST(ParseSpec, TellsProgramsWhichFieldIsWrong) {
  const absl::Status status =
      ParseSpec("project: ab\ntrain:\n  image: x\n  resources: {gpus: many}\n  run: a\n", "riseml.yml").status();
  EXPECT_THAT(MetadataOf(status), ElementsAre(testing::Pair("column", "21"), testing::Pair("line", "4")));
  ASSERT_EQ(ViolationsOf(status).size(), 1u) << status;
  EXPECT_EQ(ViolationsOf(status)[0].field, "train.resources.gpus");
  EXPECT_THAT(std::string(status.message()), HasSubstr(ViolationsOf(status)[0].description));
  // Also where the message shows no path.
  const absl::Status sentence = ParseSpec(
                                    "project: ab\ntrain:\n  image: x\n  resources: {}\n  parameters: {a: {range: {min: "
                                    "2, max: 1, step: 1}}}\n  run: a\n",
                                    "riseml.yml")
                                    .status();
  ASSERT_EQ(ViolationsOf(sentence).size(), 1u) << sentence;
  EXPECT_THAT(ViolationsOf(sentence)[0].field, StartsWith("train.parameters.a"));
  EXPECT_THAT(std::string(sentence.message()), testing::Not(HasSubstr("On path")));
}

class RefusedText : public testing::TestWithParam<Bad> {};

TEST_P(RefusedText, SaysWhereAndWhat) {
  const Bad& bad = GetParam();
  const auto spec = ParseSpec(bad.text, "dir/riseml.yml");
  ASSERT_FALSE(spec.ok());
  EXPECT_TRUE(HasReason(spec.status(), Reason::kInvalidSpec));
  const std::string message(spec.status().message());
  EXPECT_THAT(message, StartsWith(absl::StrCat("dir/riseml.yml:", bad.at, ": ")));
  EXPECT_THAT(message, HasSubstr(bad.says));
  EXPECT_LE(message.size(), 1000u);
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, RefusedText,
    testing::Values(
        Bad{"DuplicateKey", "project: ab\nproject: ac\n", "2:1", "'project' was already given in line 1"},
        Bad{"DuplicateNestedKey", "project: ab\ntrain:\n  run: a\n  run: b\n", "4:3", "'run' was already given"},
        Bad{"DuplicateKeyByQuotes", "project: ab\n\"project\": ac\n", "2:1", "already given"},
        Bad{"DuplicateMergeKey", "<<: {}\n<<: {}\n", "2:1", "'<<' was already given"},
        Bad{"TabAsIndentation", "project: ab\ntrain:\n\timage: x\n", "3:2", "indent with spaces"},
        Bad{"TabBehindSpaces", "project: ab\ntrain:\n  image: x\n  resources:\n  \tcpus: 1\n", "5:4",
            "indent with spaces"},
        Bad{"SecondDocument", "project: ab\n---\nproject: ac\n", "2:1", "second document"},
        Bad{"SecondEmptyDocument", "project: ab\n---\n", "2:1", "second document"},
        Bad{"TextBehindTheEnd", "project: ab\n...\nproject: ac\n", "3:1", "behind the end of the document"},
        Bad{"UnknownTag", "project: !name ab\n", "1:10", "unknown tag '!name'"},
        Bad{"PythonTag", "project: !!python/object:os.system ab\n", "1:10", "unknown tag"},
        Bad{"UnknownTagOnMap", "project: ab\ntrain: !x {}\n", "2:8", "unknown tag '!x'"},
        Bad{"UnknownTagOnList", "project: ab\ntrain: !x []\n", "2:8", "unknown tag '!x'"},
        Bad{"WrongCoreTag", "project: ab\ntrain:\n  concurrency: !!int x\n", "3:16", "no int"},
        Bad{"UnquotedPlaceholder", "project: ab\ntrain:\n  run: {{x}}\n", "3:9", "in quotes"},
        Bad{"UnquotedPlaceholderAndMore", "project: ab\ntrain:\n  run: {{x}} --y\n", "3:9", "in quotes"},
        Bad{"UnquotedPlaceholderInList", "project: ab\ntrain:\n  run:\n    - {{x}} --y\n", "4:8", "in quotes"},
        Bad{"ListAsKey", "project: ab\n[a]: b\n", "2:1", "as a key"},
        Bad{"ColonInText", "project: ab\ntrain:\n  run: echo a: b\n", "3:14", "in quotes"},
        Bad{"OpenQuote", "project: \"ab\n", "1:10", "close the quotes"},
        Bad{"OpenQuoteBehindEscape", "project: &a 'a''b\\\ntrain: {}\n", "1:10", "close the quotes"},
        Bad{"OpenDoubleQuoteBehindEscape", "project: \"a\\\"\n", "1:10", "close the quotes"},
        Bad{"OpenList", "project: ab\ntrain: [a, b\n", "3:1", "close the '['"},
        Bad{"OpenMap", "project: ab\ntrain: {a: b\n", "3:1", "close the '{'"},
        Bad{"UnevenIndentation", "project: ab\ntrain:\n    image: x\n  run: a\n", "4:3", "indent the keys"},
        Bad{"UnknownAlias", "project: *name\n", "1:10", "anchor is not defined"},
        Bad{"BadEscape", "project: \"\\q\"\n", "1:13", "backslash"},
        Bad{"EscapedBreak", "project: \"\\\x7F\"\n", "1:12", "U+007F"},
        Bad{"EscapeAtTheEnd", "project: \"a\\", "1:13", "unknown escape character: ?"},
        Bad{"WideEscape", "project: \"\\\u00e9\"\n", "1:13", "unknown escape character: ?: write a backslash"},
        Bad{"NulCharacter", "project: \"a\\0b\"\n", "1:10", "NUL"},
        Bad{"NewerYaml", "%YAML 2.0\n---\nproject: ab\n", "1:1", "major version"},
        Bad{"MergeOfText", "project: ab\ntrain:\n  <<: x\n", "3:7", "merges maps only"},
        Bad{"MergeOfTextInList", "project: ab\ntrain:\n  <<: [{}, x]\n", "3:12", "merges maps only"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Bytes, RefusedText,
                         testing::Values(Bad{"LoneContinuation",
                                             "project: a\x80"
                                             "b\n",
                                             "1:11", "byte 0x80 is not UTF-8"},
                                         Bad{"Latin1", "# caf\xE9\nproject: ab\n", "1:6", "byte 0xE9"},
                                         Bad{"Overlong", "# \xC0\xAF\n", "1:3", "byte 0xC0"},
                                         Bad{"OverlongThree", "# \xE0\x80\xAF\n", "1:3", "byte 0xE0"},
                                         Bad{"Surrogate", "# \xED\xA0\x80\n", "1:3", "byte 0xED"},
                                         Bad{"BeyondUnicode", "# \xF4\x90\x80\x80\n", "1:3", "byte 0xF4"},
                                         Bad{"CutOff", "# \xE2\x82", "1:3", "byte 0xE2"},
                                         Bad{"ColumnsAreCharacters", "# \u00e9\u20ac\xFF\n", "1:5", "byte 0xFF"},
                                         Bad{"LineCounted", "project: ab\r\n# \xFF\r\n", "2:3", "byte 0xFF"},
                                         Bad{"EndOfTransmission",
                                             "project: a\x04"
                                             "b\n",
                                             "1:11", "U+0004"},
                                         Bad{"Escape", "# \x1B[31m\n", "1:3", "U+001B"},
                                         Bad{"Utf16", std::string("p\0r\0", 4), "1:2", "U+0000"}),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Limits, RefusedText,
    testing::Values(
        Bad{"TooLarge", std::string(65 * 1024, '#'), "1:1", "the limit is 65536"},
        Bad{"TooDeepInBrackets", absl::StrCat("project: ", std::string(1000, '['), std::string(1000, ']')), "1:41",
            "more than 32 levels"},
        Bad{"TooDeepInBraces", "a: " + Lines(1000, "{a: "), "1:125", "more than 32 levels"},
        Bad{"TooDeepInDashes", Lines(1000, "- "), "1:65", "more than 32 levels"},
        Bad{"TooDeepByAlias",
            absl::StrCat("a: &a ", std::string(20, '['), std::string(20, ']'), "\nb: ", std::string(20, '['), "*a",
                         std::string(20, ']'), "\n"),
            "2:24", "more than 32 levels"},
        Bad{"AliasBomb", AliasBomb(), "5:45", "more than 10000 values, aliases expanded"},
        Bad{"TextBomb", absl::StrCat("a: &a ", std::string(32 * 1024, 'x'), "\nb: [", Lines(100, "*a,"), "]\n"), "2:95",
            "more than 1048576 bytes of text"},
        Bad{"TooManyNodes", absl::StrCat("a: [", Lines(11'000, "1,"), "]\n"), "1:19999", "more than 10000 values"},
        Bad{"Cycle", "project: ab\ntrain: &a\n  run: *a\n", "3:8", "inside the very value it names"},
        Bad{"CycleInList", "a: &a [*a]\n", "1:8", "inside the very value it names"}),
    [](const auto& info) { return info.param.name; });

TEST(ParseSpec, TakesByteOrderMarkAndWindowsBreaks) {
  const std::string text = absl::StrCat("\xEF\xBB\xBF", absl::StrReplaceAll(kBase, {{"\n", "\r\n"}}));
  const auto spec = ParseSpec(text, "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->project, "ab");
  EXPECT_THAT(spec->train->run, ElementsAre("a"));
}

TEST(ParseSpec, PositionsBehindWindowsBreaksAndWideCharactersAreThoseOfAnEditor) {
  const auto spec = ParseSpec("\xEF\xBB\xBF# \u00e9\r\nproject: {\u00e9\u00e9: 1, \u00e9\u00e9: 2}\r\n", "f");
  EXPECT_THAT(std::string(spec.status().message()), StartsWith("f:2:18: "));
}

TEST(ParseSpec, TakesOneDocumentWithMarkersAndDirective) {
  EXPECT_TRUE(ParseSpec(absl::StrCat("%YAML 1.2\n---\n", kBase, "...\n"), "f").ok());
}

TEST(ParseSpec, TakesTabsWhereTheyIndentNothing) {
  const auto spec =
      ParseSpec("project:\tab # \tx\n\t\ntrain:\n  image: x\n  resources: {\n\t}\n  run: |\n    a\n    \tb\n", "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->train->run, ElementsAre("a\n\tb\n"));
}

TEST(ParseSpec, TakesCoreTags) {
  const auto spec = ParseSpec(
      "!!map\nproject: !!str ab\ntrain: !!map\n  image: ! x\n  resources: {cpus: !!float 1, gpus: !!int 2}\n"
      "  run: !!seq [!!str 5]\n  framework: tensorflow\n  tensorflow: {version: !!null ~, tensorboard: !!bool false}\n",
      "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train->resources.cpus, 1.0);
  EXPECT_EQ(spec->train->resources.gpus, 2);
  EXPECT_THAT(spec->train->run, ElementsAre("5"));
}

TEST(ParseSpec, MergesMaps) {
  const auto spec = ParseSpec(
      "project: ab\ntrain:\n  image: x\n  run: a\n  resources:\n    cpus: 3\n    <<: [{cpus: 1, mem: 2}, {mem: 4, "
      "gpus: 5}]\n",
      "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train->resources, (Resources{3, 2, 5}));
}

TEST(ParseSpec, MergesAnAliasAndFoldsText) {
  const auto spec = ParseSpec(
      "project: ab\ntrain:\n  image: x\n  resources: &r {mem: 2}\n  tensorflow:\n    distributed:\n      master:\n"
      "        resources: {<<: *r, cpus: 1}\n  run: >-\n    a\n    b\n",
      "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->train->run, ElementsAre("a b"));
}

TEST(ParseSpec, AWrongAliasIsReportedWhereItIsUsed) {
  const auto spec = ParseSpec("project: &a ab\ntrain:\n  image: x\n  resources: {cpus: *a}\n  run: a\n", "f");
  EXPECT_EQ(spec.status().message(),
            "f:4:21: 'ab' is not of type 'number': write cores as a number, cpus: 0.5, or leave the key out\n"
            "On path: \"train: resources: cpus:\"");
}

TEST(ParseSpec, AValueThatIsNotWrittenIsReportedAtItsKey) {
  const auto spec = ParseSpec("project: ab\ntrain:\n  resources:\n  run: a\n  image: x\n", "f");
  EXPECT_THAT(std::string(spec.status().message()), StartsWith("f:3:3: None is not of type 'object'"));
  const auto next = ParseSpec("project: ab\ntrain:\n  resources:\n    cpus:\nnull: x\n", "f");
  EXPECT_THAT(std::string(next.status().message()), StartsWith("f:5:1: the key None"));
  const auto written = ParseSpec("project: ab\ntrain:\n  resources: ~\n  run: a\n  image: x\n", "f");
  EXPECT_THAT(std::string(written.status().message()), StartsWith("f:3:14: None is not of type 'object'"));
}

TEST(ParseSpec, NoTrainSectionIsForTheCallerToRefuse) {
  EXPECT_THAT(std::string(ParseSpec("project: ab\n", "f").status().message()),
              StartsWith("f:1:1: 'train' is a required property: add train: with image, resources and run"));
  const auto spec = ParseSpec("project: ab\ndeploy: ~\n", "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(spec->train.has_value());
  EXPECT_THAT(std::string(RequireTrain(*spec, "f").message()), StartsWith("f:1:1: no train section"));
  EXPECT_TRUE(RequireTrain(*ParseSpec(kBase, "f"), "f").ok());
}

struct Plain {
  absl::string_view text;
  Kind kind;
};

class PlainScalar : public testing::TestWithParam<Plain> {};

TEST_P(PlainScalar, HasItsKind) { EXPECT_EQ(ResolvePlain(GetParam().text), GetParam().kind) << GetParam().text; }

INSTANTIATE_TEST_SUITE_P(
    All, PlainScalar,
    testing::Values(Plain{"", Kind::kNull}, Plain{"~", Kind::kNull}, Plain{"NULL", Kind::kNull},
                    Plain{"nULL", Kind::kText}, Plain{"True", Kind::kBoolean}, Plain{"FALSE", Kind::kBoolean},
                    Plain{"tRue", Kind::kText}, Plain{"yes", Kind::kText}, Plain{"no", Kind::kText},
                    Plain{"on", Kind::kText}, Plain{"off", Kind::kText}, Plain{"010", Kind::kInteger},
                    Plain{"0x1F", Kind::kInteger}, Plain{"0o17", Kind::kInteger}, Plain{"0b01", Kind::kInteger},
                    Plain{"1_000", Kind::kInteger}, Plain{"-3", Kind::kInteger}, Plain{"+3", Kind::kInteger},
                    Plain{"0x", Kind::kText}, Plain{"0o8", Kind::kText}, Plain{"_1", Kind::kText},
                    Plain{"-", Kind::kText}, Plain{"1G", Kind::kText}, Plain{"1.", Kind::kNumber},
                    Plain{".5", Kind::kNumber}, Plain{"1e-6", Kind::kNumber}, Plain{"1E5", Kind::kNumber},
                    Plain{"1.5e+3", Kind::kNumber}, Plain{"-.5", Kind::kNumber}, Plain{".inf", Kind::kNumber},
                    Plain{"-.INF", Kind::kNumber}, Plain{".NaN", Kind::kNumber}, Plain{"-.nan", Kind::kText},
                    Plain{".", Kind::kText}, Plain{"1e", Kind::kText}, Plain{"e5", Kind::kText},
                    Plain{"1.5.0", Kind::kText}, Plain{"nan", Kind::kText}, Plain{"2018-01-01", Kind::kDate},
                    Plain{"2018-1-1", Kind::kText}, Plain{"2018-01-01T10:00:00Z", Kind::kDate},
                    Plain{"2018-01-01 10:00:00.5 +02:00", Kind::kDate}, Plain{"2018-01-01x", Kind::kText},
                    Plain{"2018-01", Kind::kText}, Plain{"1:30", Kind::kText}));

TEST(Scalars, HaveTheValueTheyShow) {
  const auto node = [](const char* text) { return Node{Kind::kInteger, text, 1, 1, {}, {}}; };
  EXPECT_EQ(IntegerOf(node("010")), 10);
  EXPECT_EQ(IntegerOf(node("0o10")), 8);
  EXPECT_EQ(IntegerOf(node("0x10")), 16);
  EXPECT_EQ(IntegerOf(node("0b10")), 2);
  EXPECT_EQ(IntegerOf(node("1_000")), 1000);
  EXPECT_EQ(IntegerOf(node("-9223372036854775808")), INT64_MIN);
  EXPECT_EQ(IntegerOf(node("9223372036854775807")), INT64_MAX);
  EXPECT_EQ(IntegerOf(node("9223372036854775808")), std::nullopt);
  EXPECT_DOUBLE_EQ(NumberOf(node("-0x10")), -16);
  EXPECT_DOUBLE_EQ(NumberOf(node("1_0.5")), 10.5);
  EXPECT_DOUBLE_EQ(NumberOf(node("1e3")), 1000);
  EXPECT_DOUBLE_EQ(NumberOf(node("010")), 10);
}

TEST(PythonText, StaysShortAndOnOneLine) {
  Node text{Kind::kText, "a'\n\x1b\u0085b", 1, 1, {}, {}};
  EXPECT_EQ(PythonText(text), "'a\\'\\n\\x1b\\x85b'");
  for (int i = 0; i < 400; ++i) text.text += "\u20ac";
  const Node list{Kind::kSequence, "", 1, 1, {}, {text, text}};
  for (const Node* node : {static_cast<const Node*>(&text), &list}) {
    EXPECT_LE(PythonText(*node).size(), 120u);
    EXPECT_THAT(PythonText(*node), HasSubstr("…"));
  }
  Node numbers{Kind::kSequence, "", 1, 1, {}, {}};
  numbers.children.assign(1000, Node{Kind::kInteger, std::string(30, '1'), 1, 1, {}, {}});
  EXPECT_THAT(PythonText(numbers), testing::EndsWith(", …]"));
  EXPECT_LE(PythonText(numbers).size(), 120u);
}

constexpr absl::string_view kJson = R"({"resources":{"cpus":1,"mem":512,"gpus":null},"framework":"tensorflow",
 "parameters":{"lr":[0.1,1e-06,1.0],"epochs":{"range":{"min":1,"max":3,"step":1}}},"concurrency":2,
 "tensorflow":{"version":"1.5.0","tensorboard":true,"horovod":null,
   "distributed":{"master":{"resources":{"cpus":1,"mem":512,"gpus":null}},
                  "worker":{"count":3,"resources":{"cpus":1,"mem":512,"gpus":null}},
                  "ps":{"count":1,"resources":{"cpus":1,"mem":512,"gpus":null}}}},
 "image":"tensorflow/tensorflow:1.5.0","install":"pip install x","run":["python a.py --lr {{lr}} {{else}}"]})";

TEST(ParseSpecJson, TakesTheNormalForm) {
  const auto spec = ParseSpecJson(kJson, "ab", "config");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->project, "ab");
  const Train& train = *spec->train;
  EXPECT_EQ(train.resources, (Resources{1, 512, std::nullopt}));
  EXPECT_THAT(train.install, ElementsAre("pip install x"));
  EXPECT_THAT(train.run, ElementsAre("python a.py --lr {{lr}} {{else}}"));
  ASSERT_EQ(train.parameters.size(), 2u);
  EXPECT_THAT(train.parameters[0].values, ElementsAre("1", "2", "3"));
  EXPECT_THAT(train.parameters[1].values, ElementsAre("0.1", "1e-06", "1.0"));
  EXPECT_EQ(train.tensorflow->distributed->worker_count, 3);
  EXPECT_FALSE(train.tensorflow->horovod.has_value());
  EXPECT_FALSE(train.image_given);
}

TEST(ParseSpecJson, TakesNullForAbsentAndKnowsAGivenImage) {
  const auto spec = ParseSpecJson(
      R"({"image":"x","resources":{},"run":"a","install":null,"framework":null,"tensorflow":null,"parameters":null,"concurrency":null})",
      "ab", "config");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->train->image_given);
  EXPECT_FALSE(spec->train->has_parameters);
}

class RefusedJson : public testing::TestWithParam<Bad> {};

TEST_P(RefusedJson, SaysWhereAndWhat) {
  const Bad& bad = GetParam();
  const auto spec = ParseSpecJson(bad.text, "ab", "config");
  ASSERT_FALSE(spec.ok());
  EXPECT_TRUE(HasReason(spec.status(), Reason::kInvalidSpec));
  EXPECT_THAT(std::string(spec.status().message()), StartsWith(absl::StrCat("config:", bad.at, ": ")));
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr(bad.says));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedJson,
    testing::Values(
        Bad{"Empty", "", "1:1", "JSON"}, Bad{"CutOff", R"({"run":"a")", "1:11", "JSON"},
        Bad{"NoJson", "run: a", "1:1", "JSON"}, Bad{"List", "[]", "1:1", "not of type 'object'"},
        Bad{"Duplicate", R"({"run":"a", "run":"b"})", "1:13", "already given"},
        Bad{"Nul", R"({"run":"a\u0000"})", "1:8", "NUL"}, Bad{"TooDeep", std::string(1000, '['), "1:33", "levels"},
        Bad{"UnknownKeyBehindEscapes", R"({"image":"\"\\", "cpu":1})", "1:18", "'cpu' was unexpected"},
        Bad{"WrongType", "{\"image\":\"x\",\"resources\":{},\n \"run\":[\"a\", true]}", "2:14", "True is not of type"},
        Bad{"FractionOfAGpu", R"({"resources":{"cpus":-0.0e1,"gpus":1.0}})", "1:22", "less than the minimum"},
        Bad{"TwoValues", "{} {}", "1:4", "JSON"}, Bad{"Overflow", "[1e999]", "1:6", "number overflow"},
        Bad{"OpenText", "{\"a\": \"b; c", "1:12", "missing closing quote"},
        Bad{"MissingRun", R"({"resources":{}})", "1:1", "'run' is a required property"}),
    [](const auto& info) { return info.param.name; });

TEST(Parse, RepoR4InputsKeepTheirIdsAsWritten) {
  const auto spec = ParseSpec(
      "project: ab\ntrain: {resources: {}, run: a, image: b, inputs: {model: 26.10, data: 7, base: .ada.3.1}}\n", "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->train->inputs.size(), 3u);
  EXPECT_EQ(spec->train->inputs[0].experiment, ".ada.3.1");
  EXPECT_EQ(spec->train->inputs[1].experiment, "7");
  EXPECT_EQ(spec->train->inputs[2].name, "model");
  EXPECT_EQ(spec->train->inputs[2].experiment, "26.10") << "not the number 26.1";
}

}  // namespace
}  // namespace riseml::spec
