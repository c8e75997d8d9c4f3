// Explains to people what decides an environment and why it has to be built. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/builder.pb.h"
#include "services/builder/environment/key.h"

namespace riseml::builder {

// Returns the inputs that decide the content of an environment, except the request to build it anew. Two environments
// of one owner with the same list have the same content.
std::vector<internal::v1::DecidingInput> DecidingInputsOf(const Inputs& inputs);

// An environment that the project has used.
struct UsedBefore {
  std::string key;
  internal::v1::KnownEnvironment environment;
};

// Explains why an environment that does not exist is built. `same` has its key; `last` is the one that the project
// used last.
internal::v1::CacheExplanation ExplainBuild(const Inputs& inputs, const std::optional<UsedBefore>& same,
                                            const std::optional<UsedBefore>& last);

// Returns lines for the log of a build: the inputs that decide the environment, and why it is built. At most about 60
// lines.
std::vector<std::string> DecisionLines(const Inputs& inputs, absl::string_view key);

// Returns the text as one line of at most 160 bytes that hides passwords in URLs.
std::string ForLine(absl::string_view text);

}  // namespace riseml::builder
