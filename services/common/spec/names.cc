#include "services/common/spec/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/reserved_variables.h"
#include "services/common/base/status.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLongestInputName = 63;

}  // namespace

absl::Status CheckInputName(absl::string_view name) {
  if (!name.empty() && name.size() <= kLongestInputName && std::ranges::all_of(name, IsNameCharacter) &&
      absl::ascii_isalnum(static_cast<unsigned char>(name.front())))
    return absl::OkStatus();
  return Error(Reason::kInvalidSpec, absl::StrCat("an input name has 1 to ", kLongestInputName,
                                                  " letters, digits, '-' and '_', and begins with a letter or digit"));
}

std::string EnvironmentName(absl::string_view parameter) {
  return absl::StrReplaceAll(absl::AsciiStrToUpper(parameter), {{"-", "_"}});
}

absl::Status CheckVariableName(absl::string_view name) {
  const auto is_letter = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  const bool variable = !name.empty() && std::all_of(name.begin(), name.end(), is_letter) &&
                        !absl::ascii_isdigit(static_cast<unsigned char>(name.front()));
  if (!variable)
    return Error(Reason::kInvalidSpec,
                 "a variable has letters, digits and '_' and does not begin with a digit: rename it");
  if (!EveryJobHasItsOwn(name)) return absl::OkStatus();
  return Error(Reason::kInvalidSpec,
               absl::StrCat("every job gets its own ", name,
                            ": use another name, or set it inside of a command (export ", name, "=…)"));
}

absl::Status CheckParameterName(absl::string_view name) {
  const bool characters = !name.empty() && std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (!characters || absl::ascii_isdigit(static_cast<unsigned char>(name.front()))) {
    return Error(Reason::kInvalidSpec,
                 "a parameter's name has letters, digits, '-' and '_' and does not begin with a digit: rename it");
  }
  const std::string variable = EnvironmentName(name);
  if (!DecidesWhatRuns(variable)) return absl::OkStatus();
  return Error(Reason::kInvalidSpec, absl::StrCat("the parameter would set the environment variable ", variable,
                                                  ", which decides what runs: rename it"));
}

}  // namespace riseml::spec
