// Finds {{name}} in commands. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::spec {

// True for the characters of a parameter's name.
bool IsNameCharacter(char c);

// One token of a command.
struct CommandToken {
  enum class Kind {
    kText,         // literal text
    kPlaceholder,  // {{ name }} of a declared parameter
    kUnknown,      // looks like a placeholder, but `name` is not declared
  };
  Kind kind = Kind::kText;
  std::string text;        // as written; of kText with "{{{{x}}}}" already turned into "{{x}}"
  std::string name;        // of the parameter; empty for kText
  std::size_t offset = 0;  // of the token in the command
};

// Splits a command. Blanks inside of the braces do not count. "{{{{x}}}}" stands for the text "{{x}}". Something looks
// like a placeholder if there is a name between the braces, or anything with the name of a declared parameter in it,
// such as {{ params.lr }} or {{ lr | float }}. Other braces are text.
std::vector<CommandToken> SplitCommand(absl::string_view command, const std::vector<std::string>& declared);

// The parameter of `declared` that was most likely meant by what stands between the braces; empty if none is close.
std::string MeantParameter(absl::string_view inside, const std::vector<std::string>& declared);

}  // namespace riseml::spec
