// What a job is told of its experiment.
#include "services/api/data/experiment_spec.h"

#include <gtest/gtest.h>

namespace riseml::api {
namespace {

TEST(ExperimentSpec, RepoR4JobsFindTheOutputsOfTheirInputs) {
  v1::TrainSpec spec;
  for (const char* source : {"26", "26.3"}) {
    v1::Input* const input = spec.add_inputs();
    input->set_name(source);
    input->set_experiment(std::string("users/paul/experiments/") + source);
    input->set_project("users/paul/projects/census");
  }
  internal::v1::JobTemplate job;
  FillTemplate(spec, kTrainRole, {"ada", 3, 0}, "digits", {}, "uid", "uid", "commit", &job);
  EXPECT_EQ(job.input_subpaths().at("26"), "paul/census/26");
  EXPECT_EQ(job.input_subpaths().at("26.3"), "paul/census/26/3");
  internal::v1::JobTemplate build;
  FillTemplate(spec, kBuildRole, {"ada", 3, 0}, "digits", {}, "uid", "uid", "commit", &build);
  EXPECT_TRUE(build.input_subpaths().empty()) << "an environment does not depend on them";
}

}  // namespace
}  // namespace riseml::api
