#include "services/common/spec/parse.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"
#include "services/common/spec/reader.h"

namespace riseml::spec {

namespace {

// Removes control characters: some messages quote the text, and none of these may reach the user's terminal.
std::string WithoutControls(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return text;
}

}  // namespace

absl::Status InvalidSpec(absl::string_view file_name, const Diagnostic& diagnostic) {
  std::string message =
      absl::StrCat(file_name, ":", diagnostic.line, ":", diagnostic.column, ": ", WithoutControls(diagnostic.message));
  if (!diagnostic.path.empty() && diagnostic.shows_path)
    absl::StrAppend(&message, "\nOn path: \"", diagnostic.path, "\"");
  absl::Status status = WithMetadata(Error(Reason::kInvalidSpec, message), "line", diagnostic.line);
  status = WithMetadata(std::move(status), "column", diagnostic.column);
  if (diagnostic.path.empty()) return status;
  const std::string field = absl::StrReplaceAll(absl::StripSuffix(diagnostic.path, ":"), {{": ", "."}});
  return WithViolation(std::move(status), field, WithoutControls(diagnostic.message));
}

absl::StatusOr<Spec> ParseSpec(absl::string_view text, absl::string_view file_name) {
  RISEML_ASSIGN_OR_RETURN(const Source source, Source::Create(text, file_name));
  RISEML_ASSIGN_OR_RETURN(const Node root, ReadYaml(source));
  const Origin origin{std::string(file_name), false};
  return CheckSpec(View(root, origin));
}

absl::StatusOr<Spec> ParseSpecJson(absl::string_view json, absl::string_view project, absl::string_view source_name) {
  RISEML_ASSIGN_OR_RETURN(const Source source, Source::Create(json, source_name));
  RISEML_ASSIGN_OR_RETURN(const Node root, ReadJson(source));
  const Origin origin{std::string(source_name), true};
  Spec spec;
  spec.project = std::string(project);
  RISEML_ASSIGN_OR_RETURN(spec.train, CheckTrain(View(root, origin), spec.warnings));
  return spec;
}

absl::Status RequireTrain(const Spec& spec, absl::string_view file_name) {
  if (spec.train) return absl::OkStatus();
  return InvalidSpec(file_name,
                     {1, 1, "", "no train section: add 'train:' with at least 'resources', 'image' and 'run'"});
}

}  // namespace riseml::spec
