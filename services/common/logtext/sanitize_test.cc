#include "services/common/logtext/sanitize.h"

#include <gtest/gtest.h>

#include <string>

#include "services/common/logtext/invisible.h"

namespace riseml::logtext {
namespace {

struct Case {
  const char* name;
  std::string in;
  std::string out;
};

class SanitizeTest : public testing::TestWithParam<Case> {};

TEST_P(SanitizeTest, ShowsWhatIsSafe) { EXPECT_EQ(Sanitize(GetParam().in, true), GetParam().out); }

TEST_P(SanitizeTest, ChunkBordersDoNotMatter) {
  const std::string& text = GetParam().in;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Sanitizer sanitizer(true);
    std::string out = sanitizer.Append(text.substr(0, cut));
    out += sanitizer.Append(text.substr(cut));
    out += sanitizer.Finish();
    EXPECT_EQ(out, GetParam().out) << "cut at " << cut;
  }
}

const Case kCases[] = {
    {"PlainText", "loss 0.1\tacc\n", "loss 0.1\tacc\n"},
    {"Utf8", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80"},
    {"Colors", "\x1B[1;31mred\x1B[0m", "\x1B[1;31mred\x1B[0m"},
    {"ColorsLeftOnAreSwitchedOff", "\x1B[31mred", "\x1B[31mred\x1B[0m"},
    {"CursorMovesGo", "a\x1B[2Kb\x1B[10;10Hc\x1B[?25ld", "abcd"},
    {"PrivateSgrGoes", "a\x1B[>4;1mb", "ab"},
    {"TitleGoes",
     "a\x1B]0;evil\x07"
     "b\x1B]0;evil\x1B\\c",
     "abc"},
    {"DeviceControlGoes", "a\x1BP+q544e\x1B\\b\x1B_x\x1B\\c\x1B^x\x1B\\d", "abcd"},
    {"AnUnfinishedTitleEndsWithTheLine", "a\x1B]0;evil\nb", "a\nb"},
    {"AnEscapeAbortsATitle", "a\x1B]0;x\x1B[31mb\x1B[m", "a\x1B[31mb\x1B[m"},
    {"ShortEscapesGo",
     "a\x1B"
     "cb\x1B(0c\x1B=d",
     "abcd"},
    {"ControlsAreShown", std::string("a\x07\x00z\x7F\r", 6), "a\\x07\\x00z\\x7f\\x0d"},
    {"C1AsUtf8",
     "a\xC2\x9B"
     "2Jb\xC2\x9D"
     "0;x\x07"
     "c\xC2\x85",
     "abc\\x85"},
    {"BadBytes", "a\xFF\xC0\xAF\x80z", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"},
    {"CutCharacter", "a\xE2\x82", "a\xEF\xBF\xBD"},
    {"CutCharacterThenText", "\xE2\x82z", "\xEF\xBF\xBDz"},
    {"Surrogate", "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"BeyondUnicode", "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    {"Bidi", "x\xE2\x80\xAEy\xE2\x81\xA6z\xE2\x80\xA8", "x\\u202ey\\u2066z\\u2028"},
    {"Invisible", "a\u200bb\u00adc\ufeffd\u2060", "a\\u200bb\\u00adc\\ufeffd\\u2060"},
    {"JoinersThatJoinNothing", "a\u200db \u200c\n\u200d", "a\\u200db \\u200c\n\\u200d"},
    {"JoinersOfAFamily", "\U0001F468\u200d\U0001F469\u200d\U0001F467!", "\U0001F468\u200d\U0001F469\u200d\U0001F467!"},
    {"JoinerAfterStyle", "\u2764\ufe0f\u200d\U0001F525", "\u2764\ufe0f\u200d\U0001F525"},
    {"JoinerAfterAnEmojiOnly", "\U0001F468\u200da", "\U0001F468\\u200da"},
    {"NonJoinerOfEmoji", "\U0001F468\u200c\U0001F469", "\U0001F468\\u200c\U0001F469"},
    {"Persian", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"},
    {"Hindi", "\u0915\u094d\u200d\u0937 \u0915\u094d\u200d", "\u0915\u094d\u200d\u0937 \u0915\u094d\u200d"},
    {"SeveralJoiners", "\u0645\u200c\u200c\u062e", "\u0645\u200c\\u200c\u062e"},
    {"JoinerBeforeAnEscape", "\U0001F468\u200d\x1B[1m\U0001F469", "\U0001F468\\u200d\x1B[1m\U0001F469\x1B[0m"},
    {"JoinerBeforeBadBytes", "a\u200d\xFF\u200d\xE2\x82", "a\\u200d\xEF\xBF\xBD\\u200d\xEF\xBF\xBD"},
    {"EscapeAtTheEnd", "a\x1B", "a"},
    {"CsiBrokenByNewline", "a\x1B[3\nb", "a\nb"},
};
INSTANTIATE_TEST_SUITE_P(Cases, SanitizeTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

TEST(ShowInvisible, NamesAreShownLikeLogs) {
  const std::string kept = "\U0001F468\u200d\U0001F469 \u0645\u06cc\u200c\u062e \u0915\u094d\u200d \xFF \xE2\x82";
  EXPECT_EQ(ShowInvisible(kept), kept);
  EXPECT_EQ(ShowInvisible("evil\u200d\u202e\u200c\u00ad\u2066"), "evil\\u200d\\u202e\\u200c\\u00ad\\u2066");
  EXPECT_EQ(ShowInvisible("\U0001F468\u200da"), "\U0001F468\\u200da");
}

TEST(SanitizerTest, WithoutColorsTheyGoToo) { EXPECT_EQ(Sanitize("\x1B[31mred\x1B[0m", false), "red"); }

TEST(SanitizerTest, AnEndlessSequenceIsBounded) {
  EXPECT_EQ(Sanitize("\x1B[" + std::string(1000, '1') + "mz", true).find('\x1B'), std::string::npos);
}

}  // namespace
}  // namespace riseml::logtext
