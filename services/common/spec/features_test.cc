#include "services/common/spec/features.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CheckRunnable, TakesWhatRunsHere) {
  Train train;
  EXPECT_TRUE(CheckRunnable(train).ok());
  train.tensorflow = TensorFlow{};
  EXPECT_TRUE(CheckRunnable(train).ok());
}

TEST(CheckRunnable, RefusesByName) {
  Train train;
  train.tensorflow = TensorFlow{};
  train.tensorflow->distributed = Distributed{};
  EXPECT_TRUE(HasReason(CheckRunnable(train), Reason::kUnsupported));
  EXPECT_THAT(std::string(CheckRunnable(train).message()), HasSubstr("'distributed' is not yet in this version"));
  train.tensorflow->distributed.reset();
  train.tensorflow->horovod = Horovod{};
  EXPECT_TRUE(HasReason(CheckRunnable(train), Reason::kUnsupported));
  EXPECT_THAT(std::string(CheckRunnable(train).message()), HasSubstr("'horovod' is not yet in this version"));
}

TEST(Notices, NameWhatHasNoEffect) {
  Train train;
  EXPECT_THAT(Notices(train, false), IsEmpty());
  train.image = "python:3.6";
  train.image_given = true;
  train.tensorflow = TensorFlow{};
  EXPECT_THAT(
      Notices(train, false),
      ElementsAre(
          "image python:3.6 decides only the version of Python here: jobs run as processes in a Python environment",
          HasSubstr("no TensorBoard job is started")));
  train.image_given = false;
  train.tensorflow->tensorboard = false;
  EXPECT_THAT(Notices(train, false), IsEmpty());
  EXPECT_THAT(Notices(train, true), ElementsAre("jobs run in containers of the installation's default image"));
  train.image_given = true;
  EXPECT_THAT(Notices(train, true), ElementsAre("jobs run in containers of the image python:3.6"));
  EXPECT_THAT(Notices(train, std::nullopt), ElementsAre(HasSubstr("jobs in containers run in it")));
}

TEST(MissingDirectories, InputsThatNobodyGivesAndWhatIsSharedByNobody) {
  Train train;
  train.run = {"cat /inputs/model/a.pt /inputs/base", "ls $HOME/inputs/own ./inputs/x", "echo >> /shared/study"};
  train.inputs = {{"model", "26"}};
  EXPECT_THAT(MissingDirectories(train, {}),
              testing::ElementsAre("the commands name /inputs/base, but there is no input base: write inputs: {base: "
                                   "ID} in the file, or --input base=ID",
                                   testing::HasSubstr("/shared, which only children of a set have")));
  train.has_parameters = true;
  EXPECT_THAT(MissingDirectories(train, {"base"}), testing::IsEmpty());
}

}  // namespace
}  // namespace riseml::spec
