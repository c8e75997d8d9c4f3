#include "services/common/spec/view.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

constexpr absl::string_view kNoForm = " is not valid under any of the given schemas: ";

// A key as part of a path: names with unusual characters are quoted.
std::string PathPart(const Node& key) {
  for (char c : key.text)
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.')
      return absl::StrCat(PythonText(key), ":");
  return key.text.size() > 80 ? absl::StrCat(PythonText(key), ":") : absl::StrCat(key.text, ":");
}

}  // namespace

View View::OneOfForms() const {
  View view = *this;
  view.forms_ = node_;
  view.forms_path_ = path_;
  return view;
}

absl::Status View::FailAt(const Node& culprit, absl::string_view why) const {
  if (forms_ == nullptr) return InvalidSpec(origin_->file, {culprit.line, culprit.column, path_, std::string(why)});
  const absl::string_view below =
      absl::StripLeadingAsciiWhitespace(absl::string_view(path_).substr(forms_path_.size()));
  const std::string where = below.empty() ? "" : absl::StrCat("at \"", below, "\" ");
  return InvalidSpec(origin_->file, {culprit.line, culprit.column, forms_path_,
                                     absl::StrCat(PythonText(*forms_), kNoForm, where, why)});
}

absl::Status View::FailForms(absl::string_view instead) const {
  if (forms_ == node_) return FailAt(*node_, instead);
  return FailAt(*node_, absl::StrCat(PythonText(*node_), kNoForm, instead));
}

absl::Status View::FailSentence(absl::string_view sentence) const {
  return InvalidSpec(origin_->file, {node_->line, node_->column, path_, std::string(sentence), false});
}

std::string View::Note(absl::string_view text) const {
  return absl::StrCat(origin_->file, ":", node_->line, ":", node_->column, ": ", text);
}

absl::Status View::FailType(absl::string_view types, absl::string_view instead) const {
  return Fail(absl::StrCat(PythonText(*node_), " is not of type ", types, ": ", instead));
}

absl::Status View::IsObject(const KnownObject& object) const {
  if (node_->kind != Kind::kMapping) {
    const std::string none =
        is_null() ? "write its keys below it, indented, or {} for none" : "write a map, key: value";
    return FailType("'object'", none);
  }
  for (const Node& key : node_->keys) {
    if (key.kind != Kind::kText)
      return FailAt(key, absl::StrCat("the key ", PythonText(key), " is not of type 'string': write a known key"));
    bool known = false;
    for (absl::string_view name : object.keys) known = known || name == key.text;
    if (known) continue;
    return FailAt(key, absl::StrCat("Additional properties are not allowed (", PythonText(key),
                                    " was unexpected): ", UnknownKeyAdvice(object, key.text)));
  }
  return absl::OkStatus();
}

View View::Child(std::size_t index) const {
  View view = *this;
  view.node_ = &node_->children[index];
  if (!path_.empty()) view.path_ += ' ';
  view.path_ += PathPart(node_->keys[index]);
  return view;
}

View View::Item(std::size_t index) const {
  View view = *this;
  view.node_ = &node_->children[index];
  return view;
}

std::optional<View> View::Find(absl::string_view key) const {
  for (std::size_t i = 0; i < node_->keys.size(); ++i) {
    if (node_->keys[i].kind != Kind::kText || node_->keys[i].text != key) continue;
    if (origin_->lenient && node_->children[i].kind == Kind::kNull) return std::nullopt;
    return Child(i);
  }
  return std::nullopt;
}

absl::StatusOr<View> View::Require(absl::string_view key, absl::string_view instead) const {
  std::optional<View> found = Find(key);
  if (!found) return Fail(absl::StrCat("'", key, "' is a required property: ", instead));
  return *std::move(found);
}

absl::StatusOr<std::string> View::Text(absl::string_view instead) const {
  if (node_->kind == Kind::kText) return node_->text;
  const bool scalar = node_->kind != Kind::kSequence && node_->kind != Kind::kMapping && !is_null();
  return FailType("'string'", scalar ? absl::StrCat(instead, ", or put the value in quotes") : std::string(instead));
}

absl::StatusOr<bool> View::Boolean(absl::string_view instead) const {
  if (node_->kind != Kind::kBoolean) return FailType("'boolean'", instead);
  return absl::ascii_tolower(static_cast<unsigned char>(node_->text[0])) == 't';
}

absl::StatusOr<int> View::Integer(int least, absl::string_view instead) const {
  if (node_->kind != Kind::kInteger) return FailType("'integer'", instead);
  const std::optional<std::int64_t> value = IntegerOf(*node_);
  const bool negative = absl::StartsWith(node_->text, "-");
  if (value ? *value < least : negative)
    return Fail(absl::StrCat(PythonText(*node_), " is less than the minimum of ", least, ": ", instead));
  if (!value || *value > std::numeric_limits<int>::max()) {
    return Fail(absl::StrCat(PythonText(*node_), " is greater than the maximum of ", std::numeric_limits<int>::max(),
                             ": ", instead));
  }
  return static_cast<int>(*value);
}

absl::StatusOr<double> View::Number(double least, absl::string_view instead) const {
  if (node_->kind != Kind::kInteger && node_->kind != Kind::kNumber) return FailType("'number'", instead);
  const double value = NumberOf(*node_);
  if (value < least)
    return Fail(absl::StrCat(PythonText(*node_), " is less than the minimum of ", least, ": ", instead));
  if (!std::isfinite(value)) return Fail(absl::StrCat(PythonText(*node_), " is not a finite number: ", instead));
  return value;
}

absl::StatusOr<std::vector<std::string>> View::Lines(absl::string_view instead) const {
  if (node_->kind == Kind::kText) return std::vector<std::string>{node_->text};
  const View forms = OneOfForms();
  if (node_->kind != Kind::kSequence) return forms.FailForms(instead);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < node_->children.size(); ++i) {
    const Node& child = node_->children[i];
    if (child.kind == Kind::kMapping && child.keys.size() == 1)
      return FailAt(child,
                    absl::StrCat("this command holds ': ', so that YAML takes '", child.keys[0].text.substr(0, 40),
                                 "' for a key: put the whole command in quotes, or write it below a '- |'"));
    RISEML_ASSIGN_OR_RETURN(std::string line, forms.Item(i).Text(instead));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace riseml::spec
