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
  EXPECT_THAT(Files(), ElementsAre(".risemlignore", "keep.py", "node_modules/p/i.js", "riseml.yml", "sub/riseml.yml"));
}

TEST_F(WalkTest, LeavesOutSecrets) {
  for (const char* path : {".env", "d/.env.local", "c.pem", "tls.key", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
                           "my-kubeconfig.yaml", ".aws/credentials", ".netrc", "environment.py", "keys.py",
                           "id_rsa.pub", "secret.yaml", "prod.env", "api_key.txt"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre("environment.py", "id_rsa.pub", "keys.py"));
  EXPECT_EQ(scan_.skipped.size(), 14u);
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

TEST_F(WalkTest, Case4IgnoreFilesAddUp) {
  tree_.Write(".git/info/exclude", "local\n");
  tree_.Write(".gitignore", "secrets.yaml\nckpt/\n");
  tree_.Write("d/.gitignore", "c\n");
  tree_.Write(".risemlignore", "/data\n");
  tree_.Write("d/.risemlignore", "e\n");
  for (const char* path : {"secrets.yaml", "ckpt/last.pt", "d/c", "d/e", "d/f", "local", "data/x"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".risemlignore", "d/.gitignore", "d/.risemlignore", "d/f"));
  EXPECT_THAT(Skipped(), UnorderedElementsAre(".git/: git's own directory", "ckpt/: ckpt/ in .gitignore",
                                              "d/c: c in d/.gitignore", "d/e: e in d/.risemlignore",
                                              "data/: /data in .risemlignore", "local: local in .git/info/exclude",
                                              "secrets.yaml secret: secrets.yaml in .gitignore"));
}

TEST_F(WalkTest, Case4ANegationBringsBackWhateverLeftItOut) {
  tree_.Write(".gitignore", "ckpt/\n*.log\nmodels/**\n");
  tree_.Write("data/.gitignore", "/data.xml\n");
  tree_.Write(".risemlignore", "!data/data.xml\n!/ckpt/best/*.pt\n!keep.log\n!/models/\n!/models/m\n*.tmp\n");
  for (const char* path : {"data/data.xml", "data/y.log", "ckpt/last.pt", "ckpt/best/1.pt", "ckpt/best/n.txt",
                           "keep.log", "ckpt/keep.log", "models/m", "models/n", "a.tmp"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".risemlignore", "ckpt/best/1.pt", "ckpt/keep.log", "data/.gitignore",
                                   "data/data.xml", "keep.log", "models/m"));
  EXPECT_THAT(Skipped(), ::testing::Contains("ckpt/: ckpt/ in .gitignore"));
}

TEST_F(WalkTest, R3CredentialsOfToolsAreSecretsAndDvcFilesAreNamed) {
  tree_.Write("data/data.xml", "1");
  tree_.Write("data/data.xml.dvc", "1");
  tree_.Write("data/images/1.png", "1");
  tree_.Write("data/images.dvc", "1");
  tree_.Write("data/.gitignore", "/data.xml\n/images\n");
  for (const char* path : {".dvc/config", ".dvc/config.local", ".dvc/cache/old", ".dvc/tmp/lock", "config.local",
                           ".aws/credentials", "kaggle.json", ".pypirc", ".netrc", "secrets.toml"})
    tree_.Write(path, "1");
  EXPECT_THAT(Files(), ElementsAre(".dvc/config", "data/.gitignore", "data/data.xml.dvc", "data/images.dvc"));
  std::vector<std::string> dvc, secrets;
  for (const SkippedPath& path : scan_.skipped) {
    if (path.dvc) dvc.push_back(path.path);
    if (path.secret) secrets.push_back(path.path);
  }
  EXPECT_THAT(dvc, ElementsAre("data/data.xml", "data/images/"));
  EXPECT_THAT(secrets, ElementsAre(".aws/", ".dvc/config.local", ".netrc", ".pypirc", "config.local", "kaggle.json",
                                   "secrets.toml"));
}

TEST_F(WalkTest, R3ExamplesAndCodeAreNoSecrets) {
  for (const char* path : {".env.example", ".env.sample", ".env.template", ".env.dist", "d/.env.prod.example",
                           "kubeconfig.py", "id_rsa_test.py"})
    tree_.Write(path, "1");
  EXPECT_EQ(Files().size(), 7u);
}

TEST_F(WalkTest, Case20DefaultsLookAtWhatADirectoryHolds) {
  for (const char* path : {"src/loggers/wandb/__init__.py", "conf/logger/wandb/default.yaml", "runs/wandb/run-1-a/x",
                           "runs/wandb/latest-run", "a/node_modules/x.js", "b/node_modules/.package-lock.json",
                           "env/conda-meta/history", "env/bin/python", "cache/CACHEDIR.TAG", "tagged/CACHEDIR.TAG",
                           "lib/site-packages/x-1.dist-info/METADATA", "wandb/run-1-b/x"})
    tree_.Write(path, "1");
  tree_.Write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
  EXPECT_THAT(Files(), ElementsAre("a/node_modules/x.js", "conf/logger/wandb/default.yaml",
                                   "src/loggers/wandb/__init__.py", "tagged/CACHEDIR.TAG"));
  EXPECT_THAT(Skipped(), UnorderedElementsAre("b/node_modules/: installed packages", "cache/: cache of a program",
                                              "env/: conda environment", "lib/site-packages/: installed packages",
                                              "runs/wandb/: Weights & Biases' local runs",
                                              "wandb/: Weights & Biases' local runs"));
  for (const char* path : {"wandb/__init__.py", "src/loggers/wandb/run-1-c/x"}) tree_.Write(path, "");
  EXPECT_THAT(Files(), ::testing::IsSupersetOf({"wandb/__init__.py", "src/loggers/wandb/__init__.py"}));
  EXPECT_THAT(Skipped(), ::testing::IsSupersetOf({"wandb/run-1-b/: Weights & Biases' local runs",
                                                  "src/loggers/wandb/run-1-c/: Weights & Biases' local runs"}));
}

TEST_F(WalkTest, Case20ANegationWinsOverEachDefault) {
  for (const char* path :
       {"wandb/run-1-a/x", "node_modules/x", "venv/pyvenv.cfg", "m.pyc", "p/__pycache__/q.pyc", ".hg/x"})
    tree_.Write(path, "1");
  tree_.Write(".gitignore", "!wandb/\n");
  tree_.Write(".risemlignore", "!node_modules/\n!/venv/\n!*.pyc\n!__pycache__/\n!/.hg/\n");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".hg/x", ".risemlignore", "m.pyc", "node_modules/x",
                                   "p/__pycache__/q.pyc", "venv/pyvenv.cfg", "wandb/run-1-a/x"));
}

TEST_F(WalkTest, ANegationOfEverythingBringsBackNoDefault) {
  for (const char* path : {"a.py", "d/b.py", "d/c.txt", "venv/pyvenv.cfg", "venv/x.py", ".env", "ckpt/m.py"})
    tree_.Write(path, "1");
  tree_.Write(".gitignore", "ckpt/\n");
  tree_.Write(".risemlignore", "*\n!*/\n!*.py\n");
  EXPECT_THAT(Files(), ElementsAre("a.py", "d/b.py"));
  tree_.Write(".risemlignore", "!*\n");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".risemlignore", "a.py", "d/b.py", "d/c.txt"));
}

TEST_F(WalkTest, ARepositoryThatIgnoresTheProjectHasNoSay) {
  for (const char* ignored : {"*\n", "p/\n", "/p/q\n", "q\n"}) {
    tree_.Write(".git/info/exclude", ignored);
    tree_.Write("p/.gitignore", "*.log\n");
    tree_.Write("p/q/a.log", "1");
    tree_.Write("p/q/b", "1");
    root_ = tree_.File("p/q");
    EXPECT_THAT(Files(), ElementsAre("a.log", "b")) << ignored;
  }
  tree_.Write(".git/info/exclude", "p/x\n");
  EXPECT_THAT(Files(), ElementsAre("b"));
}

class TrackedTest : public WalkTest {
 protected:
  void Git(const std::string& command) {
    const auto result = gitsync::RunShell(absl::StrCat("cd ", tree_.path(), " && git init -q . && ", command));
    ASSERT_EQ(result.exit_code, 0) << result.output;
  }
};

TEST_F(TrackedTest, Case12WhatGitTracksBelongsToTheRevision) {
  tree_.Write(".gitignore", "data/\nlog*\nlib/\n");
  for (const char* path : {"src/data/loader.py", "src/data/big.bin", "logging_utils.py", "log.txt", "lib/a/b.py",
                           "lib/c", "__pycache__/x.pyc", "docker/.env", "untracked.py", "riseml.yml"})
    tree_.Write(path, "1");
  Git("git add -f src/data/loader.py logging_utils.py lib/a/b.py __pycache__/x.pyc docker/.env riseml.yml");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", "__pycache__/x.pyc", "docker/.env", "lib/a/b.py", "logging_utils.py",
                                   "src/data/loader.py", "untracked.py"));
  EXPECT_EQ(scan_.files[5].why, "tracked by git (data/ in .gitignore)");
  EXPECT_THAT(scan_.tracked_secrets, ElementsAre("docker/.env"));
  for (const SkippedPath& path : scan_.skipped)
    if (path.path == "src/data/") EXPECT_TRUE(path.partly && path.files == 1);
}

TEST_F(TrackedTest, Case12RisemlIgnoreKeepsTrackedFilesOut) {
  tree_.Write("big.bin", "1");
  tree_.Write("data/a", "1");
  tree_.Write(".risemlignore", "/big.bin\n/data/\n");
  Git("git add -A");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore"));
  for (const SkippedPath& path : scan_.skipped)
    if (path.path == "big.bin") EXPECT_TRUE(path.tracked);
}

TEST_F(TrackedTest, Case12AProjectBelowTheTopOfTheWorkTree) {
  tree_.Write(".gitignore", "*.bin\n");
  tree_.Write("p/q/a.bin", "1");
  tree_.Write("p/q/b.bin", "1");
  tree_.Write("p/other.bin", "1");
  Git("git add -f p/q/a.bin p/other.bin");
  root_ = tree_.File("p/q");
  EXPECT_THAT(Files(), ElementsAre("a.bin"));
}

TEST_F(TrackedTest, R2SubmodulesCountAndEmptyOnesAreNamed) {
  Git("git init -q inner && cd inner && mkdir doc && echo 1 > core.py && echo 2 > doc/t.html && git add -A && "
      "git -c user.name=a -c user.email=a@b commit -qm x && cd .. && mv inner ../inner-$$ && "
      "for m in one two; do git -c protocol.file.allow=always submodule --quiet add $PWD/../inner-$$ $m; done && "
      "rm -rf ../inner-$$ two/.git two/* && echo '*.html' > .gitignore");
  EXPECT_THAT(Files(), ElementsAre(".gitignore", ".gitmodules", "one/core.py", "one/doc/t.html"));
  EXPECT_THAT(scan_.empty_submodules, ElementsAre("two"));
  EXPECT_TRUE(scan_.in_git);
  ASSERT_EQ(gitsync::RunShell(absl::StrCat("rm -rf ", tree_.File(".git"))).exit_code, 0);
  Files();
  EXPECT_THAT(scan_.empty_submodules, ElementsAre("two"));
  EXPECT_FALSE(scan_.in_git);
}

TEST_F(TrackedTest, ADamagedIndexIsAWarning) {
  tree_.Write("a", "1");
  Git("git add -A && echo nonsense > .git/index");
  EXPECT_THAT(Files(), ElementsAre("a"));
  EXPECT_THAT(scan_.warnings, ElementsAre(HasSubstr("cannot read the git index")));
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
  tree_.Write(".risemlignore", "data/\n!keep\n");
  tree_.Write("data/keep", "1");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore"));
  EXPECT_EQ(scan_.skipped_count, 1);
  EXPECT_EQ(scan_.skipped[0].files, 1);
  EXPECT_EQ(scan_.skipped[0].bytes, 1);
  tree_.Write(".risemlignore", "data/\n!data/keep\n");
  EXPECT_THAT(Files(), ElementsAre(".risemlignore", "data/keep"));
}

TEST_F(WalkTest, Case9LinksAreTakenAsTheyAre) {
  tree_.Write("d/a", "1");
  tree_.Write("ckpt/1.pt", "1");
  tree_.Write(".gitignore", "ckpt/\n");
  const std::vector<std::pair<std::string, std::string>> links = {{"absolute", "/mnt/datasets"},
                                                                  {"above", "../x"},
                                                                  {"again", "d/../d/a"},
                                                                  {"best", "ckpt/1.pt"},
                                                                  {"dangling", "nowhere"},
                                                                  {"d/up", "../.."},
                                                                  {"loop", "loop"},
                                                                  {"through", "inside/a"},
                                                                  {"inside", "d"},
                                                                  {"self", "."}};
  for (const auto& [path, target] : links) tree_.Link(path, target);
  EXPECT_THAT(Files(), ElementsAre(".gitignore", "above", "absolute", "again", "best", "d/a", "d/up", "dangling",
                                   "inside", "loop", "self", "through"));
  EXPECT_THAT(scan_.links_outside, ElementsAre("above -> ../x", "absolute -> /mnt/datasets", "d/up -> ../.."));
  EXPECT_THAT(scan_.links_to_left_out, ElementsAre("best -> ckpt/1.pt"));
}

TEST_F(WalkTest, Case15EmptyDirectoriesAreFound) {
  tree_.Write(".gitignore", "out/\nfull/\n*.pt\n");
  tree_.Write("full/x", "1");
  tree_.Write("checkpoints/1.pt", "1");
  tree_.Write("d/a", "1");
  for (const char* path : {"out", "empty/inner", "d/e"}) std::filesystem::create_directories(tree_.File(path));
  EXPECT_THAT(Files(), ElementsAre(".gitignore", "d/a"));
  EXPECT_THAT(scan_.directories, ElementsAre("checkpoints", "d/e", "empty/inner", "out"));
  EXPECT_THAT(Skipped(), ElementsAre("checkpoints/1.pt: *.pt in .gitignore", "full/: full/ in .gitignore"));
}

TEST_F(WalkTest, ReasonsComeWithTheRightPath) {
  tree_.Write(".gitignore", "*.log\nckpt/\n");
  for (const char* path : {"a.log", "ckpt/x/1", ".env", "wandb/run-1-a/y", "b"}) tree_.Write(path, "1");
  const auto reason = [&](const char* path) {
    const auto why = WhyLeftOut(root_, path);
    EXPECT_TRUE(why.ok()) << why.status();
    return why.ok() && *why ? (*why)->reason : "taken";
  };
  EXPECT_EQ(reason("a.log"), "*.log in .gitignore");
  EXPECT_EQ(reason("ckpt/x/1"), "ckpt/ in .gitignore");
  EXPECT_EQ(reason(".env"), "looks like a secret");
  EXPECT_EQ(reason("wandb/run-1-a/y"), "Weights & Biases' local runs");
  EXPECT_EQ(reason("b"), "taken");
  tree_.Write(".risemlignore", "!/ckpt/x/1\n");
  EXPECT_EQ(reason("ckpt/x/1"), "taken");
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
