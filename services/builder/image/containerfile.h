// Writes the Containerfile of an environment's image. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

struct ImageBuild {
  std::string base;                  // name of the base image with its digest
  std::vector<std::string> steps;    // install steps, in order; each is a text for the shell
  std::vector<std::string> secrets;  // names of variables that the steps see and the image does not
  std::string cache;                 // name of the owner's caches: letters, digits and "-"
};

// Directory in which builds keep what the shell knows from one step to the next.
inline constexpr char kBuildState[] = "/.riseml";

// Returns the Containerfile. The files of the build's context come to /code; then each step is one instruction RUN, so
// that a build with the same first steps uses their layers. A step begins where the one before ended: in its directory,
// with the variables that it exported, without secrets. The caches of pip, conda and apt are mounted and do not become
// part of the image.
std::string ContainerfileOf(const ImageBuild& build);

// Returns the number of the step that a line of buildah's output begins, from 1, e.g. 2 for "STEP 5/7: RUN …" with
// three instructions before the first step; 0: none.
int StepOfOutput(absl::string_view line);

}  // namespace riseml::builder
