#include "services/common/logtext/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace riseml::logtext {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Show(LineFolder& folder, const std::vector<std::string>& chunks) {
  std::vector<std::string> lines;
  const auto emit = [&lines](const Line& line) {
    const char* kind = line.kind == Line::Kind::kWhole ? "" : line.kind == Line::Kind::kPiece ? "+" : "?";
    lines.push_back(absl::StrCat(line.first_offset, ":", line.text, kind));
  };
  for (const std::string& chunk : chunks) folder.Append(chunk, emit);
  folder.Flush(emit);
  return lines;
}

std::vector<std::string> Fold(const std::vector<std::string>& chunks, std::size_t max_line = LineFolder::kMaxLine) {
  LineFolder folder(0, max_line);
  return Show(folder, chunks);
}

TEST(FoldTest, CutsAtNewlines) {
  EXPECT_THAT(Fold({"one\ntwo\n\nfour"}), ElementsAre("0:one", "4:two", "8:", "9:four?"));
}

TEST(FoldTest, NothingGivesNothing) { EXPECT_THAT(Fold({"", ""}), IsEmpty()); }

TEST(FoldTest, ReturnNewlineIsANewlineEvenAcrossChunks) {
  EXPECT_THAT(Fold({"one\r\ntwo\r", "\nthree\r\r\n"}), ElementsAre("0:one", "5:two", "10:three"));
}

TEST(FoldTest, AProgressBarLeavesItsLastState) {
  EXPECT_THAT(Fold({"\r 10%", "\r 50%\r100%\n", "done\n"}), ElementsAre("0:100%", "16:done"));
}

TEST(FoldTest, TheOpenLineIsTheNewestState) {
  LineFolder folder;
  const auto fail = [](const Line&) { FAIL(); };
  folder.Append("10%\r20%\r", fail);
  EXPECT_EQ(folder.open_line(), "20%");
  folder.Append("3", fail);
  EXPECT_EQ(folder.open_line(), "3");
}

TEST(FoldTest, BackspaceTakesBackOneCharacter) {
  EXPECT_THAT(Fold({"ab\bc\n", "x\xC3\xA4", "\b\by\n", "\b\n"}), ElementsAre("0:ac", "5:y", "12:"));
}

TEST(FoldTest, ALongLineComesInPiecesCutBetweenCharacters) {
  EXPECT_THAT(Fold({"1234567\xC3\xA4", "9\n"}, 8), ElementsAre("0:1234567+",
                                                               "7:\xC3\xA4"
                                                               "9"));
  EXPECT_THAT(Fold({std::string(20, 'x'), "\n"}, 8), ElementsAre("0:xxxxxxxx+", "8:xxxxxxxx+", "16:xxxx"));
  EXPECT_THAT(Fold({std::string(9, '\x80')}, 8),
              ElementsAre(absl::StrCat("0:", std::string(8, '\x80'), "+"), "8:\x80?"));
}

TEST(FoldTest, ALineOfExactlyTheLimitIsWhole) {
  EXPECT_THAT(Fold({"12345678\nx"}, 8), ElementsAre("0:12345678", "9:x?"));
}

TEST(FoldTest, GoesOnBehindAGap) {
  LineFolder folder;
  std::vector<std::string> lines;
  const auto emit = [&lines](const Line& line) { lines.push_back(absl::StrCat(line.first_offset, ":", line.text)); };
  folder.Append("cut", emit);
  folder.Seek(1000, emit);
  folder.Append("here\n", emit);
  EXPECT_THAT(lines, ElementsAre("0:cut", "1000:here"));
}

TEST(FoldTest, ChunkBordersDoNotMatter) {
  const std::string text = "a\r\nb\rc\b\xE2\x82\xAC\b\n\r\r10%\r20%\nlast, which is longer\r\nthan eight";
  const std::vector<std::string> whole = Fold({text}, 8);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Fold({text.substr(0, cut), text.substr(cut)}, 8), whole) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace riseml::logtext
