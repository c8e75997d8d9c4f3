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

// Returns one input that is not a step or part of the code. `name` is for people, `id` differs when the input does.
internal::v1::DecidingInput Deciding(internal::v1::DecidingInput::Kind kind, absl::string_view name,
                                     absl::string_view id);
// Appends the steps, and the part of the code that decides.
void AddDecidingSteps(const std::vector<std::string>& install, std::vector<internal::v1::DecidingInput>& out);
void AddDecidingCode(const CodeInputs& code, std::vector<internal::v1::DecidingInput>& out);
// Returns the first 16 hex digits of the text's SHA-256, short enough to be kept for each input.
std::string ShortHash(absl::string_view text);

// An environment that the project has used.
struct UsedBefore {
  std::string key;
  internal::v1::KnownEnvironment environment;
};

// Explains why an environment that does not exist is built. `now` are its deciding inputs, `rebuild` says that a user
// asks for a new one; `same` has its key; `last` is the one that the project used last.
internal::v1::CacheExplanation ExplainBuild(const std::vector<internal::v1::DecidingInput>& now, bool rebuild,
                                            const std::optional<UsedBefore>& same,
                                            const std::optional<UsedBefore>& last);

// Texts for the log of a build.
struct DecisionText {
  absl::string_view key;
  std::vector<std::string> first;  // lines on what only this kind of environment has
  const std::vector<std::string>& install;
  const CodeInputs& code;
  absl::string_view built_because;
};

// Returns lines for the log of a build: the inputs that decide the environment, and why it is built. At most about 60
// lines.
std::vector<std::string> DecisionLines(const DecisionText& text);
std::vector<std::string> DecisionLines(const Inputs& inputs, absl::string_view key);

// Returns the text as one line of at most 160 bytes that hides passwords in URLs.
std::string ForLine(absl::string_view text);

}  // namespace riseml::builder
