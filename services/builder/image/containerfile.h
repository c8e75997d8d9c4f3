// Writes the Containerfile of an environment's image. Pure.
#pragma once

#include <string>
#include <vector>

namespace riseml::builder {

struct ImageBuild {
  std::string base;                  // name of the base image with its digest
  std::vector<std::string> steps;    // install steps, in order; each is a text for the shell
  std::vector<std::string> secrets;  // names of variables that the steps see and the image does not
  std::string cache;                 // name of the owner's caches: letters, digits and "-"
  bool removes_passing = false;      // files that kBuildSettings lists in `passing` are removed from /code at the end
};

// Directory in which builds keep what the shell knows from one step to the next.
inline constexpr char kBuildState[] = "/.riseml";
// Directory that a build may mount: `variables` sets variables that the steps see and the image does not, such as those
// for proxies and package indexes, `names` lists them, `passing` lists files by their path below /code.
inline constexpr char kBuildSettings[] = "/run/riseml-settings";

// Instructions before the first RUN: FROM, WORKDIR, COPY.
inline constexpr int kInstructionsBefore = 3;

// Returns the Containerfile. The files of the build's context come to /code; then each step is one instruction RUN, so
// that a build with the same first steps uses their layers. A step begins where the one before ended: in its directory,
// with the variables that it exported, without secrets. The caches of pip, conda and apt are mounted and do not become
// part of the image.
std::string ContainerfileOf(const ImageBuild& build);

}  // namespace riseml::builder
