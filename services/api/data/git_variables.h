// Variables that tell a job about the user's own git repository. Pure.
#pragma once

#include <map>
#include <string>

#include "riseml/v1/experiment.pb.h"

namespace riseml::api {

// RISEML_GIT_COMMIT, RISEML_GIT_BRANCH, RISEML_GIT_DESCRIBE, RISEML_GIT_DIRTY ("1" or "0"), and the version of the
// package for tools that would ask git for it: setuptools-scm and hatch-vcs, pbr, poetry-dynamic-versioning. Empty
// without a repository.
std::map<std::string, std::string> GitVariables(const v1::GitState& git);

// The version (PEP 440) that `git describe` stands for: "1.0" at the tag v1.0, "1.0.post3+g1a2b3c4" three commits
// later, "0.0+g1a2b3c4" without a tag that is a version; uncommitted changes add "dirty" behind the '+'.
std::string VersionOf(const v1::GitState& git);

}  // namespace riseml::api
