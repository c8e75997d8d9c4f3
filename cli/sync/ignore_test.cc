#include "cli/sync/ignore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::sync {
namespace {

using gitsync::RunShell;
using gitsync::TestDirectory;

// Matches of git's own wildmatch with WM_PATHNAME; from t/t3070-wildmatch.sh.
TEST(WildMatchTest, AsGitDoes) {
  struct Case {
    bool match;
    const char* text;
    const char* pattern;
  };
  constexpr Case kCases[] = {
      {true, "foo", "foo"},
      {false, "foo", "bar"},
      {true, "", ""},
      {true, "foo", "???"},
      {false, "foo", "??"},
      {true, "foo", "*"},
      {true, "foo", "f*"},
      {false, "foo", "*f"},
      {true, "foo", "*foo*"},
      {true, "foobar", "*ob*a*r*"},
      {true, "aaaaaaabababab", "*ab"},
      {true, "foo*", "foo\\*"},
      {false, "foobar", "foo\\*bar"},
      {true, "f\\oo", "f\\\\oo"},
      {true, "ball", "*[al]?"},
      {false, "ten", "[ten]"},
      {true, "ten", "**[!te]"},
      {false, "ten", "**[!ten]"},
      {true, "ten", "t[a-g]n"},
      {false, "ten", "t[!a-g]n"},
      {true, "ton", "t[!a-g]n"},
      {true, "ton", "t[^a-g]n"},
      {true, "a]b", "a[]]b"},
      {true, "a-b", "a[]-]b"},
      {true, "a]b", "a[]-]b"},
      {false, "aab", "a[]-]b"},
      {true, "aab", "a[]a-]b"},
      {true, "]", "]"},
      {false, "foo/baz/bar", "foo*bar"},
      {false, "foo/baz/bar", "foo**bar"},
      {true, "foobazbar", "foo**bar"},
      {true, "foo/baz/bar", "foo/**/bar"},
      {true, "foo/baz/bar", "foo/**/**/bar"},
      {true, "foo/b/a/z/bar", "foo/**/bar"},
      {true, "foo/b/a/z/bar", "foo/**/**/bar"},
      {true, "foo/bar", "foo/**/bar"},
      {true, "foo/bar", "foo/**/**/bar"},
      {false, "foo/bar", "foo?bar"},
      {false, "foo/bar", "foo[/]bar"},
      {false, "foo/bar", "foo[^a-z]bar"},
      {false, "foo/bar", "f[^eiu][^eiu][^eiu][^eiu][^eiu]r"},
      {true, "foo-bar", "f[^eiu][^eiu][^eiu][^eiu][^eiu]r"},
      {true, "foo", "**/foo"},
      {true, "XXX/foo", "**/foo"},
      {true, "bar/baz/foo", "**/foo"},
      {false, "bar/baz/foo", "*/foo"},
      {false, "foo/bar/baz", "**/bar*"},
      {true, "deep/foo/bar/baz", "**/bar/*"},
      {false, "deep/foo/bar/baz/", "**/bar/*"},
      {true, "deep/foo/bar/baz/", "**/bar/**"},
      {false, "deep/foo/bar", "**/bar/*"},
      {true, "deep/foo/bar/", "**/bar/**"},
      {false, "foo/bar/baz", "**/bar**"},
      {true, "foo/bar/baz/x", "*/bar/**"},
      {false, "deep/foo/bar/baz/x", "*/bar/**"},
      {true, "deep/foo/bar/baz/x", "**/bar/*/*"},
      {false, "acrt", "a[c-c]st"},
      {true, "acrt", "a[c-c]rt"},
      {false, "]", "[!]-]"},
      {true, "a", "[!]-]"},
      {false, "", "\\"},
      {false, "XXX/\\", "*/\\"},
      {true, "XXX/\\", "*/\\\\"},
      {true, "@foo", "@foo"},
      {true, "[ab]", "\\[ab]"},
      {true, "[ab]", "[[]ab]"},
      {true, "[ab]", "[[:]ab]"},
      {false, "[ab]", "[[::]ab]"},
      {true, "[ab]", "[[:digit]ab]"},
      {true, "[ab]", "[\\[:]ab]"},
      {true, "a1B", "[[:alpha:]][[:digit:]][[:upper:]]"},
      {false, "a", "[[:digit:][:upper:][:space:]]"},
      {true, "A", "[[:digit:][:upper:][:space:]]"},
      {true, "1", "[[:digit:][:upper:][:space:]]"},
      {false, "1", "[[:digit:][:upper:][:spaci:]]"},
      {true, "_",
       "[[:alnum:][:alpha:][:blank:][:cntrl:][:digit:][:graph:][:lower:][:print:][:punct:][:space:][:upper:][:xdigit:]"
       "]"},
      {true, "5", "[a-c[:digit:]x-z]"},
      {true, "b", "[a-c[:digit:]x-z]"},
      {false, "q", "[a-c[:digit:]x-z]"},
      {true, "]", "[\\\\-^]"},
      {false, "[", "[\\\\-^]"},
      {true, "-", "[\\-_]"},
      {true, "]", "[\\]]"},
      {false, "\\]", "[\\]]"},
      {false, "ab", "a[]b"},
      {false, "ab", "[!"},
      {false, "ab", "[-"},
      {true, "-", "[-]"},
      {true, "5", "[--A]"},
      {true, " ", "[ --]"},
      {true, "$", "[ --]"},
      {false, "0", "[ --]"},
      {true, "-b", "[,-.]b"},
      {true, "foo/bba/arr", "foo/**"},
      {false, "foo/bba/arr", "foo/*"},
      {false, "foo/bba/arr", "foo/**arr"},
      {false, "foo/bba/arr", "foo/*arr"},
      {true, "a/b/c", "a/***/c"},
  };
  for (const Case& c : kCases) EXPECT_EQ(WildMatch(c.pattern, c.text), c.match) << c.pattern << " on " << c.text;
}

TEST(WildMatchTest, ManyStarsEnd) {
  std::string pattern;
  for (int i = 0; i < 60; ++i) pattern += "*a";
  EXPECT_FALSE(WildMatch(pattern + "b", std::string(2000, 'a')));
}

TEST(ParsePatternsTest, Lines) {
  const auto patterns = ParsePatterns(
      "\xEF\xBB\xBF# comment\n\n  \nplain\n!kept\n/top\ndir/\na/b\n\\#x\n\\!y\ntrail  \ntrail\\ \r\n/\nend");
  std::vector<std::string> seen;
  for (const Pattern& p : patterns)
    seen.push_back(absl::StrCat(p.glob, p.negated ? " !" : "", p.directory_only ? " dir" : "", p.anchored ? " /" : ""));
  EXPECT_THAT(seen, ::testing::ElementsAre("plain", "kept !", "top /", "dir dir", "a/b /", "\\#x", "\\!y", "trail",
                                           "trail\\ ", "end"));
}

// Says what git says for every path of a tree, as `git check-ignore` does: a path in an ignored directory is ignored.
class AgainstGitTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(RunShell("git init -q " + tree_.path()).exit_code, 0); }

  bool IsIgnored(const std::vector<PatternFile>& files, const std::string& path, bool is_directory) {
    for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      const Pattern* pattern = FindPattern(files, path.substr(0, slash), true);
      if (pattern != nullptr && !pattern->negated) return true;
    }
    const Pattern* pattern = FindPattern(files, path, is_directory);
    return pattern != nullptr && !pattern->negated;
  }

  // `ignore` maps directories to texts of ignore files. `paths` are files to make; directories are looked at too.
  void Compare(const std::map<std::string, std::string>& ignore, const std::vector<std::string>& paths) {
    std::map<std::string, bool> entries;  // to is_directory
    for (const std::string& path : paths) {
      entries[path] = false;
      for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
        entries[path.substr(0, slash)] = true;
      tree_.Write(path, "");
    }
    std::vector<PatternFile> files;
    for (const auto& [directory, text] : ignore) {
      tree_.Write(directory.empty() ? ".gitignore" : directory + "/.gitignore", text);
      files.push_back({".gitignore", directory, "", ParsePatterns(text)});
    }
    std::vector<std::string> names, ours;
    for (const auto& [path, is_directory] : entries) {
      names.push_back(path);
      if (IsIgnored(files, path, is_directory)) ours.push_back(path);
    }
    tree_.Write(".git/paths", absl::StrJoin(names, "\n") + "\n");
    const auto git =
        RunShell(absl::StrCat("cd ", tree_.path(), " && git check-ignore --no-index --stdin < .git/paths"));
    ASSERT_LE(git.exit_code, 1) << git.output;
    std::vector<std::string> theirs = absl::StrSplit(git.output, '\n', absl::SkipEmpty());
    std::sort(theirs.begin(), theirs.end());
    std::sort(ours.begin(), ours.end());
    std::string text;
    for (const auto& [directory, patterns] : ignore) absl::StrAppend(&text, "[", directory, "]\n", patterns, "\n");
    EXPECT_EQ(ours, theirs) << text;
    ignored_ += static_cast<int>(theirs.size());
    for (const auto& [directory, unused] : ignore)
      tree_.Remove(directory.empty() ? ".gitignore" : directory + "/.gitignore");
  }

  TestDirectory tree_;
  int ignored_ = 0;  // what git ignored in all comparisons
};

const std::vector<std::string>& Paths() {
  static const auto* const paths = new std::vector<std::string>{"a",
                                                                "b.txt",
                                                                "b.log",
                                                                "build/x",
                                                                "build/y.o",
                                                                "src/build/z",
                                                                "src/a",
                                                                "src/b.txt",
                                                                "src/deep/a",
                                                                "src/deep/b.log",
                                                                "src/deep/er/c",
                                                                "doc/a.md",
                                                                "doc/b.txt",
                                                                "foo/bar",
                                                                "foo/x/bar",
                                                                "foox/y/bar",
                                                                "x y",
                                                                "trail ",
                                                                "#hash",
                                                                "!bang",
                                                                "[x]",
                                                                "data/train/1.csv",
                                                                "data/train/keep.csv",
                                                                "data/test/2.csv",
                                                                "data/readme"};
  return *paths;
}

TEST_F(AgainstGitTest, Rules) {
  const std::vector<std::string> texts = {"a",
                                          "/a",
                                          "a/",
                                          "build",
                                          "build/",
                                          "/build/",
                                          "*.log",
                                          "*.log\n!b.log",
                                          "!b.log\n*.log",
                                          "src/build",
                                          "src/*/a",
                                          "src/**/a",
                                          "**/a",
                                          "**/deep/**",
                                          "src/**",
                                          "/src/*\n!/src/deep/",
                                          "/src/*\n!/src/deep/\n/src/deep/*\n!/src/deep/a",
                                          "src/\n!src/a",
                                          "foo/**/bar",
                                          "foo**/bar",
                                          "/foo**/bar",
                                          "foo*",
                                          "foo/*",
                                          "x y",
                                          "x\\ y",
                                          "trail\\ ",
                                          "trail ",
                                          "\\#hash",
                                          "#hash",
                                          "\\!bang",
                                          "!bang",
                                          "[[]x]",
                                          "\\[x\\]",
                                          "[x]",
                                          "*.[lt][ox][gt]",
                                          "data/*\n!data/readme",
                                          "data/**/*.csv\n!keep.csv",
                                          "*\n!*/\n!*.txt",
                                          "/*",
                                          "*",
                                          "",
                                          "/",
                                          "!",
                                          "**",
                                          "b.???",
                                          "b.*",
                                          "*.txt/",
                                          "doc",
                                          "doc/*.md",
                                          "./a",
                                          "a//",
                                          "src//a",
                                          "deep/a",
                                          "/deep",
                                          "er/",
                                          "\\",
                                          "a\\",
                                          "[",
                                          "[a",
                                          "s[q-s]c/a",
                                          "[!a]*",
                                          "[^a-d]*"};
  for (const std::string& text : texts) Compare({{"", text + "\n"}}, Paths());
  EXPECT_GT(ignored_, 200);
}

TEST_F(AgainstGitTest, NestedFiles) {
  Compare({{"", "*.log\nbuild/\n"}, {"src", "!b.log\n/a\ndeep/er\n"}}, Paths());
  Compare({{"", "*.txt\n"}, {"src", "!*.txt\n"}, {"src/deep", "*\n!a\n"}}, Paths());
  Compare({{"src", "/build\n"}, {"src/deep", "/er/\n!c\n"}, {"data", "train/*\n!train/keep.csv\n"}}, Paths());
}

TEST_F(AgainstGitTest, RandomRules) {
  const std::vector<std::string> parts = {"a", "b.txt", "*",     "**",   "src",    "deep", "build",
                                          "?", "b*",    "*.csv", "data", "[a-s]*", "foo*"};
  std::mt19937 random(7);
  const auto pattern = [&] {
    std::string text = random() % 4 == 0 ? "!" : "";
    if (random() % 4 == 0) text += "/";
    for (int count = 1 + static_cast<int>(random() % 3); count > 0; --count)
      absl::StrAppend(&text, parts[random() % parts.size()], count > 1 ? "/" : "");
    return text + (random() % 5 == 0 ? "/\n" : "\n");
  };
  for (int round = 0; round < 150; ++round) {
    std::map<std::string, std::string> ignore;
    for (const char* directory : {"", "src", "src/deep"})
      for (int count = static_cast<int>(random() % 4); count > 0; --count) ignore[directory] += pattern();
    if (!ignore.empty()) Compare(ignore, Paths());
  }
}

}  // namespace
}  // namespace riseml::sync
