#include "cli/sync/walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "cli/sync/exclude.h"
#include "services/common/base/status.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class WalkTest : public ::testing::Test {
 protected:
  std::vector<std::string> Files() {
    auto scan = ScanProject(root_);
    EXPECT_TRUE(scan.ok()) << scan.status();
    scan_ = scan.ok() ? *std::move(scan) : Scan();
    std::vector<std::string> paths;
    for (const ScannedFile& file : scan_.files) paths.push_back(file.path);
    return paths;
  }
  std::vector<std::string> Skipped() {
    std::vector<std::string> out;
    for (const SkippedPath& path : scan_.skipped)
      out.push_back(absl::StrCat(path.path, path.secret ? " secret: " : ": ", path.reason));
    return out;
  }
  std::string Refusal() {
    const auto scan = ScanProject(root_);
    EXPECT_FALSE(scan.ok());
    return std::string(scan.status().message());
  }

  gitsync::TestDirectory tree_;
  std::string root_ = tree_.path();
  Scan scan_;
};

TEST_F(WalkTest, FindsFilesLinksAndModes) {
  tree_.Write("b.py", "12");
  tree_.Write("a/run.sh", "1", true);
  tree_.Write("a.b", "");
  tree_.Link("a/link", "../b.py");
  std::filesystem::create_directories(tree_.File("empty/inner"));
  EXPECT_THAT(Files(), ElementsAre("a.b", "a/link", "a/run.sh", "b.py"));
  EXPECT_EQ(scan_.files[1].mode, git::Mode::kSymlink);
  EXPECT_EQ(scan_.files[1].link_target, "../b.py");
  EXPECT_EQ(scan_.files[2].mode, git::Mode::kExecutable);
  EXPECT_EQ(scan_.files[3].mode, git::Mode::kFile);
  EXPECT_EQ(scan_.total_bytes, 0 + 7 + 1 + 2);
  EXPECT_THAT(scan_.skipped, IsEmpty());
}

TEST_F(WalkTest, LeavesOutWhatIsNeverCode) {
  for (const char* path : {".git/HEAD", "sub/.git", "x/__pycache__/a.py", "m.pyc", "node_modules/p/i.js",
                           ".ipynb_checkpoints/n", "wandb/run", "venv/pyvenv.cfg", "venv/bin/python", "riseml.yml",
                           "riseml-sweep.yml", "sub/riseml.yml", "keep.py"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre("keep.py", "sub/riseml.yml"));
  EXPECT_THAT(Skipped(), UnorderedElementsAre(
                             ".git/: git's own directory", "sub/.git: git's own directory",
                             "x/__pycache__/: Python's cache", "m.pyc: compiled Python",
                             "node_modules/: installed packages", ".ipynb_checkpoints/: Jupyter's copies",
                             "wandb/: Weights & Biases' local runs", "venv/: Python virtual environment",
                             "riseml.yml: settings of runs, not code", "riseml-sweep.yml: settings of runs, not code"));
  tree_.Write(".risemlignore", "!node_modules/\n!riseml.yml\n!.git\n");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore", "keep.py", "sub/riseml.yml"));
}

TEST_F(WalkTest, LeavesOutSecrets) {
  for (const char* path :
       {".env", "d/.env.local", "c.pem", "tls.key", "id_rsa", "id_rsa.pub", "id_dsa", "id_ecdsa", "id_ed25519",
        "my-kubeconfig.yaml", ".aws/credentials", ".netrc", "environment.py", "keys.py"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre("environment.py", "keys.py"));
  EXPECT_EQ(scan_.skipped.size(), 12u);
  for (const SkippedPath& path : scan_.skipped) EXPECT_TRUE(path.secret) << path.path;
}

TEST_F(WalkTest, OnlyRisemlIgnoreBringsASecretBack) {
  tree_.Write(".env", "1");
  tree_.Write("d/tls.key", "1");
  tree_.Write(".aws/config", "1");
  tree_.Write(".gitignore", "!.env\n!*.key\n");
  EXPECT_THAT(Files(), ElementsAre(".gitignore"));
  tree_.Write(".risemlignore", "!.env\n!.aws/\n");
  tree_.Write("d/.risemlignore", "!tls.key\n");
  EXPECT_THAT(Files(),
              ElementsAre(".aws/config", ".env", ".gitignore", ".risemlignore", "d/.risemlignore", "d/tls.key"));
}

TEST_F(WalkTest, GitIgnoreAndExclude) {
  tree_.Write(".git/info/exclude", "local\n");
  tree_.Write(".gitignore", "*.log\n");
  tree_.Write("d/.gitignore", "!keep.log\n");
  for (const char* path : {"a.log", "d/a.log", "d/keep.log", "local", "x"}) tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", "d/.gitignore", "d/keep.log", "x"));
  EXPECT_THAT(Skipped(), UnorderedElementsAre(".git/: git's own directory", "a.log: *.log in .gitignore",
                                              "d/a.log: *.log in .gitignore", "local: local in .git/info/exclude"));
}

TEST_F(WalkTest, RisemlIgnoreReplacesGitIgnore) {
  tree_.Write(".git/info/exclude", "local\n");
  tree_.Write(".gitignore", "a\n");
  tree_.Write("d/.gitignore", "c\n");
  tree_.Write(".risemlignore", "b\n");
  for (const char* path : {"a", "b", "d/c", "local"}) tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".risemlignore", "a", "d/.gitignore", "d/c", "local"));
  EXPECT_THAT(Skipped(), ::testing::Contains("b: b in .risemlignore"));
}

TEST_F(WalkTest, ANestedRisemlIgnoreReplacesTheGitIgnoreBesideIt) {
  tree_.Write(".gitignore", "*.log\n");
  tree_.Write("d/.gitignore", "a\n");
  tree_.Write("d/.risemlignore", "b\n");
  for (const char* path : {"d/a", "d/b", "d/x.log"}) tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", "d/.gitignore", "d/.risemlignore", "d/a"));
}

TEST_F(WalkTest, GitIgnoreAboveAProjectInALargerWorkTree) {
  tree_.Write(".git/info/exclude", "/p/q/excluded\n");
  tree_.Write(".gitignore", "*.log\n/p/q/anchored\n");
  tree_.Write("p/.gitignore", "!keep.log\nq/other\n");
  for (const char* path : {"p/q/a.log", "p/q/keep.log", "p/q/anchored", "p/q/other", "p/q/excluded", "p/q/d/other"})
    tree_.Write(path, "1");
  root_ = tree_.File("p/q");
  EXPECT_THAT(Files(), ElementsAre("d/other", "keep.log"));
}

TEST_F(WalkTest, AnIgnoredDirectoryIsNotLookedInto) {
  tree_.Write(".risemlignore", "data/\n!data/keep\n");
  tree_.Write("data/keep", "1");
  tree_.Link("data/evil", "/etc");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore"));
  EXPECT_EQ(scan_.skipped_count, 1);
}

TEST_F(WalkTest, RefusesLinksThatLeave) {
  tree_.Write("d/a", "1");
  for (const char* target : {"/etc/passwd", "../../x", "..", "a/../../../x"}) {
    tree_.Link(absl::string_view(target) == ".." ? "up" : "d/link", target);
    const std::string path = absl::string_view(target) == ".." ? "up" : "d/link";
    EXPECT_THAT(Refusal(), ::testing::AllOf(HasSubstr(path), HasSubstr(absl::StrCat("/", path, " to .risemlignore"))))
        << target;
    tree_.Remove(path);
  }
  tree_.Link("d/link", "../d/a");
  tree_.Link("dangling", "nowhere");
  EXPECT_THAT(Files(), ElementsAre("d/a", "d/link", "dangling"));
  tree_.Link("out", "/etc/passwd");
  tree_.Write(".risemlignore", "/out\n");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore", "d/a", "d/link", "dangling"));
}

TEST_F(WalkTest, SkipsWhatIsNeitherFileNorDirectory) {
  ASSERT_EQ(mkfifo(tree_.File("pipe").c_str(), 0600), 0);
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_THAT(Skipped(), ElementsAre("pipe: neither a file nor a directory nor a link"));
}

TEST_F(WalkTest, RefusesNamesThatCannotBeStored) {
  tree_.Write("d/\xff\x1b", "1");
  EXPECT_THAT(Refusal(), ::testing::AllOf(HasSubstr("d/\\xff\\x1b"), HasSubstr("UTF-8")));
  tree_.Remove("d");
  tree_.Write("git~1", "1");
  EXPECT_THAT(Refusal(), HasSubstr("git~1"));
}

TEST_F(WalkTest, WarnsAboutNamesThatDifferInCaseOnly) {
  tree_.Write("d/Readme", "1");
  tree_.Write("d/README", "2");
  EXPECT_EQ(Files().size(), 2u);
  EXPECT_THAT(scan_.warnings, ElementsAre("d holds README and Readme, which some systems take for one file"));
}

TEST_F(WalkTest, AnAbsentProjectIsAnError) {
  root_ = tree_.File("absent");
  EXPECT_THAT(Refusal(), HasSubstr(root_));
}

TEST_F(WalkTest, ADirectoryNobodyMayReadIsAnError) {
  tree_.Write("d/a", "1");
  std::filesystem::permissions(tree_.File("d"), std::filesystem::perms::none);
  const bool readable = access(tree_.File("d").c_str(), R_OK) == 0;  // for root it is
  EXPECT_EQ(ScanProject(root_).ok(), readable);
  std::filesystem::permissions(tree_.File("d"), std::filesystem::perms::owner_all);
}

}  // namespace
}  // namespace riseml::sync
