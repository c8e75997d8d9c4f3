// The tree that both readers make and the checker reads. It does not depend on YAML or JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::spec {

// kNumber is a number with a point or an exponent; kMerge is the key `<<` and never leaves the tree builder.
enum class Kind { kNull, kBoolean, kInteger, kNumber, kText, kDate, kMerge, kSequence, kMapping };

// A value with the place it was written at. Children of a mapping are paired with `keys`; keys are scalars and unique.
struct Node {
  Kind kind = Kind::kNull;
  std::string text;  // scalars: as written, quotes and escapes resolved
  int line = 1;
  int column = 1;
  std::vector<Node> keys;
  std::vector<Node> children;
};

// Resolves an unquoted scalar by the YAML 1.2 core rules, with 010 = 10, 0o10 = 8, 1_000 and dates as the original
// reads them.
Kind ResolvePlain(absl::string_view text);

// Value of a kInteger node, absent when it does not fit.
std::optional<std::int64_t> IntegerOf(const Node& node);

// Value of a kInteger or kNumber node; may be infinite or not a number.
double NumberOf(const Node& node);

// The value in Python notation, on one line, cut after about 80 characters: None, True, 'text', [1, 2].
std::string PythonText(const Node& node);

// The value as JSON without blanks: null, true, "text", [1,2]. Numbers that JSON cannot write (.inf) become text.
std::string JsonText(const Node& node);

}  // namespace riseml::spec
