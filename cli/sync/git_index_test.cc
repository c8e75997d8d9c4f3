// The index parser against git itself.
#include "cli/sync/git_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/sync/git_files.h"
#include "services/common/base/files/file.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class GitIndexTest : public ::testing::Test {
 protected:
  std::string Shell(const std::string& command, const std::string& in = "") {
    const auto result = gitsync::RunShell(absl::StrCat("cd ", in.empty() ? tree_.path() : in, " && ", command));
    EXPECT_EQ(result.exit_code, 0) << command << "\n" << result.output;
    return result.output;
  }
  void Init(const std::string& options = "") {
    Shell(absl::StrCat("git init -q ", options, " . && git config user.name a && git config user.email a@b"));
    tree_.Write("a", "1");
    tree_.Write("d/a.b", "1");
    tree_.Write("d/a/x", "1");
    tree_.Write(
        "gr\xc3\xb6\xc3\x9f"
        "e",
        "1");
    tree_.Write(absl::StrCat("long/", std::string(200, 'n'), "/", std::string(250, 'm')), "1");
    for (int i = 0; i < 40; ++i) tree_.Write(absl::StrCat("many/f", std::string(i % 9, 'x'), i), absl::StrCat(i));
    Shell("git add -A && git commit -qm x");
  }
  // What git and the parser say, for the work tree at `top`.
  void ExpectSame(const std::string& top, const std::string& what) {
    std::vector<std::string> expected = absl::StrSplit(Shell("git ls-files -z --sparse", top), '\0', absl::SkipEmpty());
    std::erase_if(expected, [](const std::string& path) { return path.back() == '/'; });
    std::sort(expected.begin(), expected.end());
    std::vector<std::string> warnings;
    const GitDirectory directory = OpenGitDirectory(top);
    const TrackedFiles tracked = ReadTrackedFiles(directory, "", "", warnings);
    EXPECT_THAT(warnings, IsEmpty()) << what;
    EXPECT_FALSE(expected.empty()) << what;
    for (const std::string& path : expected)
      EXPECT_TRUE(tracked.Contains(path) || tracked.HasBelow(path)) << what << path;
    EXPECT_EQ(tracked.files().size() + tracked.submodules().size(), expected.size()) << what;
  }

  gitsync::TestDirectory tree_;
};

TEST_F(GitIndexTest, Case12AllVersions) {
  Init();
  for (const char* version : {"2", "4"}) {
    Shell(absl::StrCat("git update-index --index-version ", version));
    ExpectSame(tree_.path(), absl::StrCat("version ", version, " "));
  }
  Shell("git update-index --index-version 2 && echo > new && git add -N new && git update-index --skip-worktree a");
  EXPECT_EQ(ReadFile(tree_.File(".git/index"), 1 << 20)->substr(4, 4), std::string("\0\0\0\3", 4));
  ExpectSame(tree_.path(), "version 3 ");
  Shell("git update-index --index-version 4");
  ExpectSame(tree_.path(), "version 4, extended ");
}

TEST_F(GitIndexTest, Case12SplitIndex) {
  Init();
  Shell(
      "git update-index --split-index && git rm -q --cached a many/f0 && echo 9 > d/a/x && echo > new && git add d "
      "new");
  EXPECT_NE(Shell("ls .git"), Shell("ls .git | grep -v sharedindex"));
  ExpectSame(tree_.path(), "split ");
}

TEST_F(GitIndexTest, Case12SparseCheckout) {
  Init();
  Shell("git sparse-checkout init --cone --sparse-index && git sparse-checkout set d");
  ExpectSame(tree_.path(), "sparse ");
  EXPECT_EQ(Shell("ls"),
            "a\nd\ngr\xc3\xb6\xc3\x9f"
            "e\n");
}

TEST_F(GitIndexTest, Case12WorkTreesAndBareRepositories) {
  gitsync::TestDirectory other;
  Init();
  Shell(absl::StrCat("git worktree add -q ", other.File("tree"), " -b side && cd ", other.File("tree"),
                     " && git rm -q a && echo > more && git add more"));
  ExpectSame(other.File("tree"), "worktree ");
  Shell(absl::StrCat("git clone -q --bare . ", other.File("bare"), " && cd ", other.File("bare"),
                     " && git worktree add -q ../from-bare -b third"));
  ExpectSame(other.File("from-bare"), "of a bare repository ");
  Shell(absl::StrCat("git init -q --separate-git-dir ", other.File("separate")));
  ExpectSame(tree_.path(), "separate ");
}

TEST_F(GitIndexTest, Case12Sha256) {
  Init("--object-format=sha256");
  ExpectSame(tree_.path(), "sha256 ");
}

TEST_F(GitIndexTest, Case12Conflicts) {
  Init();
  Shell(
      "git checkout -q -b side && echo 2 > a && git commit -qam y && git checkout -q - && echo 3 > a && "
      "git commit -qam z && ! git merge -q side > /dev/null && test $(git ls-files -u | wc -l) = 3");
  std::vector<std::string> warnings;
  EXPECT_TRUE(ReadTrackedFiles(OpenGitDirectory(tree_.path()), "", "", warnings).Contains("a"));
}

TEST_F(GitIndexTest, PrefixAndMount) {
  Init();
  std::vector<std::string> warnings;
  const TrackedFiles tracked = ReadTrackedFiles(OpenGitDirectory(tree_.path()), "d/", "m/", warnings);
  EXPECT_THAT(tracked.files(), ElementsAre("m/a.b", "m/a/x"));
  EXPECT_TRUE(tracked.HasBelow("m"));
  EXPECT_TRUE(tracked.HasBelow("m/a"));
  EXPECT_FALSE(tracked.HasBelow("m/a.b"));
}

TEST_F(GitIndexTest, DamageIsAnErrorAndNothingElse) {
  Init();
  for (const char* change : {"true", "git update-index --index-version 4", "git update-index --split-index"}) {
    Shell(change);
    const std::string whole = *ReadFile(tree_.File(".git/index"), 1 << 20);
    ASSERT_TRUE(ParseGitIndex(whole, 20).ok());
    for (std::size_t size = 0; size < whole.size(); size += 7) (void)ParseGitIndex(whole.substr(0, size), 20).ok();
    for (std::size_t at = 0; at < whole.size(); at += at < 100 ? 1 : 7) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0xff);
      (void)ParseGitIndex(changed, 20).ok();
    }
  }
  EXPECT_FALSE(ParseGitIndex("", 20).ok());
  EXPECT_FALSE(ParseGitIndex(std::string("DIRC\0\0\0\5\0\0\0\0", 12), 20).ok());
}

TEST_F(GitIndexTest, NoRepositoryTracksNothing) {
  EXPECT_EQ(OpenGitDirectory(tree_.path()).git, "");
  tree_.Write(".git", "gitdir: /nowhere/at/all\n");
  std::vector<std::string> warnings;
  EXPECT_TRUE(ReadTrackedFiles(OpenGitDirectory(tree_.path()), "", "", warnings).empty());
  EXPECT_THAT(warnings, ElementsAre(::testing::HasSubstr("/nowhere/at/all")));
}

TEST(GitModules, NamesPaths) {
  EXPECT_THAT(ParseGitModules("[submodule \"b\"]\n\tpath = lib/b\n\turl = x\n[other]\npath = no\n[submodule \"a\"]\n"
                              "path=\"a b/\"\n"),
              ElementsAre("a b", "lib/b"));
}

}  // namespace
}  // namespace riseml::sync
