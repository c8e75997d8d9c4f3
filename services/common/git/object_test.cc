#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/common/git/object_id.h"
#include "services/common/git/tree.h"

namespace riseml::git {
namespace {

using ::testing::HasSubstr;

// Ids as `git hash-object -t <kind>` prints them.
TEST(ObjectIdTest, EqualsGit) {
  EXPECT_EQ(Hex(HashObject(ObjectKind::kBlob, "")), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(Hex(HashObject(ObjectKind::kBlob, "hello\n")), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(Hex(HashObject(ObjectKind::kTree, "")), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

TEST(ObjectIdTest, PiecesMakeTheSameId) {
  ObjectHasher hasher;
  hasher.Start(ObjectKind::kTree, 3);  // forgotten
  hasher.Update("x");
  hasher.Start(ObjectKind::kBlob, 6);
  hasher.Update("hel");
  hasher.Update("lo\n");
  EXPECT_EQ(hasher.Finish(), HashObject(ObjectKind::kBlob, "hello\n"));
}

TEST(ObjectIdTest, HexAndRaw) {
  const ObjectId id = HashObject(ObjectKind::kBlob, "x");
  EXPECT_EQ(FromHex(Hex(id)), id);
  EXPECT_EQ(FromRaw(Raw(id)), id);
  EXPECT_FALSE(FromHex("E69DE29BB2D1D6434B8B29AE775AD8C2E48C5391"));
  EXPECT_FALSE(FromHex("e69d"));
  EXPECT_FALSE(FromRaw("short"));
}

TEST(TreeTest, OrderIsGitsOrder) {
  std::vector<TreeEntry> entries = {{"a", Mode::kDirectory, {}},
                                    {"a.b", Mode::kFile, {}},
                                    {"a0", Mode::kFile, {}},
                                    {"A", Mode::kFile, {}},
                                    {"a-", Mode::kFile, {}}};
  PrintTree(entries);
  std::vector<std::string> names;
  for (const TreeEntry& entry : entries) names.push_back(entry.name);
  EXPECT_THAT(names, ::testing::ElementsAre("A", "a-", "a.b", "a", "a0"));
}

TEST(TreeTest, RoundTrip) {
  std::vector<TreeEntry> entries = {{"run.sh", Mode::kExecutable, HashObject(ObjectKind::kBlob, "1")},
                                    {"src", Mode::kDirectory, HashObject(ObjectKind::kTree, "")},
                                    {"link", Mode::kSymlink, HashObject(ObjectKind::kBlob, "2")}};
  const std::string bytes = PrintTree(entries);
  const auto parsed = ParseTree(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, entries);
}

std::string RawEntry(const std::string& mode, const std::string& name) {
  return mode + " " + name + std::string(1, '\0') + std::string(20, 'x');
}

TEST(TreeTest, RefusesWhatACheckoutMustNotCreate) {
  for (const std::string& name : std::vector<std::string>{
           "..", ".", "", "a/b", ".git", ".GIT", ".gIt", ".git.", ".git ", ".git::$DATA", "git~1", ".g\u200cit",
           "\ufeff.git", "GIT~1", ".git\\x", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82"})
    EXPECT_EQ(ParseTree(RawEntry("100644", name)).status().code(), absl::StatusCode::kInvalidArgument) << name;
  EXPECT_FALSE(ParseTree(RawEntry("100644", std::string(256, 'a'))).ok());
  for (const std::string& name :
       std::vector<std::string>{".gitignore", ".github", "git", "..a", "a b", "größe", "\xf0\x9f\x98\x80", ".gitx"})
    EXPECT_TRUE(ParseTree(RawEntry("100644", name)).ok()) << name;
}

TEST(TreeTest, RefusesOtherModes) {
  for (const std::string& mode : std::vector<std::string>{"100664", "160000", "040000", "0", "", "120777", "100600"})
    EXPECT_FALSE(ParseTree(RawEntry(mode, "a")).ok()) << mode;
}

TEST(TreeTest, RefusesWrongOrderAndRepetition) {
  EXPECT_FALSE(ParseTree(RawEntry("100644", "b") + RawEntry("100644", "a")).ok());
  EXPECT_FALSE(ParseTree(RawEntry("100644", "a") + RawEntry("100644", "a")).ok());
  // Correctly ordered, yet one name twice.
  EXPECT_FALSE(ParseTree(RawEntry("100644", "a") + RawEntry("100644", "a.b") + RawEntry("40000", "a")).ok());
}

TEST(TreeTest, RefusesCutBytes) {
  const std::string whole = RawEntry("100644", "a") + RawEntry("100644", "b");
  for (std::size_t size = 1; size < whole.size(); ++size)
    EXPECT_EQ(ParseTree(whole.substr(0, size)).ok(), size == whole.size() / 2) << size;
}

TEST(LinkTest, MayLeadAnywhere) {
  for (const std::string& target : {"a/b", "/etc/passwd", "a/../../b", "..", "."})
    EXPECT_TRUE(CheckLinkTarget(target).ok()) << target;
}

TEST(LinkTest, RefusesWhatIsNoTarget) {
  for (const std::string& target : {std::string(), std::string("a\0b", 3), std::string(4001, 'a')})
    EXPECT_FALSE(CheckLinkTarget(target).ok()) << target;
}

TEST(PrintableTest, EscapesControlCharacters) {
  EXPECT_THAT(Printable("a\x1b[2Jb\n"), ::testing::Not(HasSubstr("\x1b")));
  EXPECT_EQ(Printable("größe"), "größe");
}

}  // namespace
}  // namespace riseml::git
