#include "cli/sync/named_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/sync/named_check.h"
#include "services/common/base/clock.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::sync {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(NamedFiles, Case12FindsWhatACommandReads) {
  EXPECT_THAT(NamedFiles("pip install -r requirements/base.txt -c./c.txt"),
              AllOf(Contains("requirements/base.txt"), Contains("c.txt")));
  EXPECT_THAT(NamedFiles("FOO=x.json python ./a//train.py --config=conf/a.yml 'my file.txt'"),
              AllOf(Contains("x.json"), Contains("a/train.py"), Contains("conf/a.yml"), Contains("my file.txt")));
  EXPECT_THAT(NamedFiles("python -m src.train < in.txt"),
              AllOf(Contains("src/train.py"), Contains("src/train/__main__.py"), Contains("in.txt")));
  EXPECT_THAT(NamedFiles("a && b.sh\nc.sh | d.sh"), ElementsAre("a", "b.sh", "c.sh", "d.sh"));
}

TEST(NamedFiles, Case12FollowsTheWorkingDirectory) {
  EXPECT_THAT(NamedFiles("cd src\npython a.py"), Contains("src/a.py"));
  EXPECT_THAT(NamedFiles("(cd src && python a.py) && cd x/../y; python b.py; cd ..; python c.py"),
              AllOf(Contains("src/a.py"), Contains("y/b.py"), Contains("c.py")));
  EXPECT_THAT(NamedFiles("cd $DIR && python a.py"), ElementsAre("cd"));
}

TEST(NamedFiles, Case12LeavesOutWhatIsWrittenOrUnknown) {
  for (const char* command :
       {"python t.py > x 2>> x", "python t.py | tee x", "rm -f x", "touch x", "t.py --output x", "t.py --log-file=x",
        "t.py --save_path x", "t.py -o x", "echo x", "test -f x", "t.py $x ${D}/x x* {{x}}", "t.py /x ~/x ../x",
        "python -c 'open(x)'", "t.py # x", "[ -f x ]"})
    EXPECT_THAT(NamedFiles(command), Not(Contains("x"))) << command;
}

class NamedCheckTest : public ::testing::Test {
 protected:
  absl::Status Check(const std::string& command) {
    SnapshotOptions options;
    options.root = tree_.File("p");
    options.cache_directory = tree_.File("cache");
    options.clock = &clock_;
    const auto snapshot = TakeSnapshot(options);
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    notes_.clear();
    return CheckNamedFiles(*snapshot, {command}, notes_);
  }
  gitsync::TestDirectory tree_;
  SystemClock clock_;
  std::vector<std::string> notes_;
};

TEST_F(NamedCheckTest, Case12AFileThatWasLeftOutIsAnError) {
  tree_.Write("p/.gitignore", "log*\nlib/\n");
  for (const char* path : {"p/logging_utils.py", "p/lib/tool.py", "p/train.py", "p/.env"}) tree_.Write(path, "1");
  EXPECT_TRUE(Check("python train.py").ok());
  EXPECT_THAT(std::string(Check("python logging_utils.py").message()),
              AllOf(HasSubstr("logging_utils.py, which is left out (log* in .gitignore)"),
                    HasSubstr("add the line !/logging_utils.py to .risemlignore")));
  EXPECT_THAT(std::string(Check("python -m lib.tool").message()), HasSubstr("!/lib/tool.py"));
  EXPECT_THAT(std::string(Check("source .env").message()), AllOf(HasSubstr("secrets:"), HasSubstr("!/.env")));
  tree_.Write("p/.risemlignore", "!/logging_utils.py\n!/lib/tool.py\n!/.env\n");
  for (const char* command : {"python logging_utils.py", "python -m lib.tool", "source .env", "python absent.py"})
    EXPECT_TRUE(Check(command).ok()) << command;
}

TEST_F(NamedCheckTest, AnEnvironmentOfTheMachineIsNotUploaded) {
  tree_.Write("p/.venv/pyvenv.cfg", "1");
  tree_.Write("p/.venv/bin/activate", "1");
  EXPECT_THAT(std::string(Check("source .venv/bin/activate && python x.py").message()),
              AllOf(HasSubstr("environment of their own"), HasSubstr("`install:`")));
}

TEST_F(NamedCheckTest, WhatACommandMayMakeIsANote) {
  tree_.Write("p/.gitignore", "*.csv\n");
  for (const char* path : {"p/data.csv", "p/train.py"}) tree_.Write(path, "1");
  EXPECT_FALSE(Check("python train.py data.csv").ok());
  for (const char* command : {"wget -O data.csv https://x.example/d; python train.py data.csv",
                              "if [ -f data.csv ]; then python train.py data.csv; fi"}) {
    EXPECT_TRUE(Check(command).ok()) << command;
    EXPECT_THAT(notes_,
                ElementsAre(AllOf(HasSubstr("data.csv, which is left out"), HasSubstr("if a command makes it"))));
  }
  tree_.Write("p/.risemlignore", "/data.csv\n");
  EXPECT_TRUE(Check("python train.py data.csv").ok()) << "who leaves it out himself knows";
}

TEST_F(NamedCheckTest, AScriptThatExistsNowhereIsANote) {
  tree_.Write("p/requirements.txt", "1");
  tree_.Write("p/riseml.yml", "1");
  EXPECT_TRUE(Check("pip install -r requirments.txt").ok());
  EXPECT_THAT(notes_, ElementsAre("a command names requirments.txt, which the project does not have; did you mean "
                                  "requirements.txt?"));
  for (const char* command : {"echo 1 > made.py; python made.py", "git clone u lib && python lib/x.py"}) {
    EXPECT_TRUE(Check(command).ok());
    EXPECT_THAT(notes_, IsEmpty()) << command;
  }
}

TEST_F(NamedCheckTest, ADirectoryThatWasLeftOutIsANote) {
  tree_.Write("p/.gitignore", "data/\n");
  for (const char* path : {"p/data/x", "p/train.py"}) tree_.Write(path, "1");
  EXPECT_TRUE(Check("python train.py --data data/").ok());
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("names data, which is left out")));
  EXPECT_TRUE(Check("cd data && ls").ok());
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("names data, which is left out")));
  EXPECT_TRUE(Check("python train.py").ok());
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(NamedCheckTest, Case17AFileAboveTheProjectIsNamed) {
  tree_.Write("p/x", "1");
  tree_.Write("train.py", "1");
  EXPECT_THAT(std::string(Check("python train.py").message()),
              AllOf(HasSubstr("train.py lies in "), HasSubstr("put a riseml.yml into ")));
  tree_.Write("p/riseml.yml", "1");
  EXPECT_TRUE(Check("python train.py").ok());
  EXPECT_THAT(notes_,
              ElementsAre(AllOf(HasSubstr("train.py lies in "), HasSubstr("that holds riseml.yml: move that"))));
}

}  // namespace
}  // namespace riseml::sync
