#include "services/common/spec/names.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/status.h"
#include "services/common/spec/placeholder.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLongestInputName = 63;
constexpr absl::string_view kReservedNames[] = {"PATH", "HOME", "SHELL"};
// Variables of which every job gets its own.
constexpr absl::string_view kProductNames[] = {
    "PATH",        "HOME", "SHELL", "USER", "LOGNAME", "TMPDIR", "OUTPUT_DIR", "EXPERIMENT_ID", "CUDA_VISIBLE_DEVICES",
    "VIRTUAL_ENV", "PWD",  "OLDPWD"};
constexpr absl::string_view kReservedPrefixes[] = {"LD_", "PYTHON", "RISEML_"};

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
  const bool product = std::find(std::begin(kProductNames), std::end(kProductNames), name) != std::end(kProductNames);
  if (!product && !absl::StartsWith(name, "RISEML_")) return absl::OkStatus();
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
  bool reserved = std::find(std::begin(kReservedNames), std::end(kReservedNames), variable) != std::end(kReservedNames);
  for (absl::string_view prefix : kReservedPrefixes) reserved = reserved || absl::StartsWith(variable, prefix);
  if (!reserved) return absl::OkStatus();
  return Error(Reason::kInvalidSpec, absl::StrCat("the parameter would set the environment variable ", variable,
                                                  ", which decides what runs: rename it"));
}

}  // namespace riseml::spec
