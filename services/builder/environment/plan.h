// Makes the steps that build an environment. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/builder/environment/key.h"

namespace riseml::builder {

// Name of the file that says an environment is complete.
inline constexpr absl::string_view kMarkerName = ".riseml-complete";

// Name of the file that says which job built an environment, e.g. "26.build".
inline constexpr absl::string_view kBuiltByName = ".riseml-built-by";

// Directory of files that steps left besides packages: `code` lies beneath a job's code, `home` in its HOME.
inline constexpr absl::string_view kLeavingsName = ".riseml";

// Content of the completion marker of the environment with this key.
std::string MarkerOf(absl::string_view key);

struct Step {
  std::string title;              // what people see
  std::string command;            // for the shell
  std::string prefix_key;         // of this step and those before it, 64 hex digits; empty: not kept for later builds
  std::string reuse_command;      // for the shell when its result comes from an earlier build; may be empty
  bool explains_failure = false;  // if it fails, its last line of output says why
};

// Returns the steps, in order: a fresh virtual environment at `path` (its log begins with the deciding inputs), the
// product's package, the user's install steps, the framework, the files they left elsewhere, the completion marker.
// They run in the directory of the code with `path`/bin first on PATH.
std::vector<Step> StepsOf(const Inputs& inputs, absl::string_view key, absl::string_view path);

// Quotes `text` as one word for the shell.
std::string Quote(absl::string_view text);

}  // namespace riseml::builder
