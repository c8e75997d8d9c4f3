// Texts of configurations for tests.
#pragma once

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace riseml::spec {

inline constexpr absl::string_view kImage = "  image: x\n";
inline constexpr absl::string_view kResources = "  resources: {}\n";
inline constexpr absl::string_view kRun = "  run: a\n";

// A file whose line 3 is `line`, a key of `train`, and that is otherwise complete.
inline std::string WithTrain(absl::string_view line) {
  std::string text = absl::StrCat("project: ab\ntrain:\n  ", line, "\n");
  if (!absl::StartsWith(line, "image:")) absl::StrAppend(&text, kImage);
  if (!absl::StartsWith(line, "resources:")) absl::StrAppend(&text, kResources);
  if (!absl::StartsWith(line, "run:")) absl::StrAppend(&text, kRun);
  return text;
}

// The same with a tensorflow section in line 3.
inline std::string WithTensorFlow(absl::string_view fields) {
  return WithTrain(absl::StrCat("tensorflow: {", fields, "}\n  framework: tensorflow"));
}

}  // namespace riseml::spec
