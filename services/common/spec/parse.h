// Reads and checks riseml.yml. Pure: no file is opened here. Errors are Reason::kInvalidSpec.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {

// One thing wrong with the text. Line and column count characters from 1.
struct Diagnostic {
  int line = 1;
  int column = 1;
  std::string path;  // keys with a colon each, "train: resources: gpus:"; empty when no key is to blame
  std::string message;
  bool shows_path = true;  // false: the message names what is wrong by itself, and the path is for programs only
};

// The error of a diagnostic: "file:line:column: message" and, with a path, the line `On path: "train: resources:"`. Its
// metadata has "line" and "column"; with a path there is a violation of the field "train.resources".
absl::Status InvalidSpec(absl::string_view file_name, const Diagnostic& diagnostic);

// The spec of a riseml.yml, or the first thing wrong with it: where it stands, what it is, what to write instead.
// `file_name` is only printed. Text over 64 KB, deeper than 32 levels or with more than 10,000 nodes (aliases expanded)
// is refused.
absl::StatusOr<Spec> ParseSpec(absl::string_view text, absl::string_view file_name);

// The same for a `train` section that another client has already brought into normal form as JSON. Differences: null
// stands for an absent key, undeclared placeholders stay literal text. `project` is taken as it is; `source_name` is
// printed.
absl::StatusOr<Spec> ParseSpecJson(absl::string_view json, absl::string_view project, absl::string_view source_name);

// Fails when the spec has no train section: ParseSpec accepts such a spec, but nobody can run it.
absl::Status RequireTrain(const Spec& spec, absl::string_view file_name);

}  // namespace riseml::spec
