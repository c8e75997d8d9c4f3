// A node with the context of its error messages: the path that leads to it and the file it is in. The functions are the
// words of the schema ("an integer of 1 or more"); their errors are sentences for the user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/spec/keys.h"
#include "services/common/spec/node.h"

namespace riseml::spec {

// Origin of the tree, and the two rules that depend on it.
struct Origin {
  std::string file;
  bool lenient = false;  // null stands for an absent key; undeclared placeholders are text
};

// Refers to a node and an origin that outlive it.
class View {
 public:
  View(const Node& node, const Origin& origin) : node_(&node), origin_(&origin) {}

  const Node& node() const { return *node_; }
  const Origin& origin() const { return *origin_; }
  bool is_null() const { return node_->kind == Kind::kNull; }
  bool is_empty_map() const { return node_->kind == Kind::kMapping && node_->keys.empty(); }

  // The same node as one of several forms: errors below it name it and say that no form fits.
  View OneOfForms() const;

  // An error of the schema class: with the path.
  absl::Status Fail(absl::string_view why) const { return FailAt(*node_, why); }
  absl::Status FailAt(const Node& culprit, absl::string_view why) const;
  // "<value> is not valid under any of the given schemas: <instead>".
  absl::Status FailForms(absl::string_view instead) const;
  // An error of the semantic class: a sentence without the path.
  absl::Status FailSentence(absl::string_view sentence) const;
  // "file:line:column: <text>"
  std::string Note(absl::string_view text) const;

  // A map with no other keys than those of `object`.
  absl::Status IsObject(const KnownObject& object) const;
  // The value of a key that must be there; `instead` is what to add.
  absl::StatusOr<View> Require(absl::string_view key, absl::string_view instead) const;
  // The value of a key that may be left out.
  std::optional<View> Find(absl::string_view key) const;
  // The value at `index` of a map, with its key on the path.
  View Child(std::size_t index) const;
  // An entry of a list; the path stays.
  View Item(std::size_t index) const;

  // Each `instead` says what to write in its place, e.g. "write whole GPUs, gpus: 1".
  absl::StatusOr<std::string> Text(absl::string_view instead) const;
  absl::StatusOr<bool> Boolean(absl::string_view instead) const;
  absl::StatusOr<int> Integer(int least, absl::string_view instead) const;
  absl::StatusOr<double> Number(double least, absl::string_view instead) const;
  // Text, or a list of text; text becomes a list of one.
  absl::StatusOr<std::vector<std::string>> Lines(absl::string_view instead) const;

  // "<value> is not of type <types>: <instead>"; says "in quotes" where text was wanted and would do.
  absl::Status FailType(absl::string_view types, absl::string_view instead) const;

 private:
  const Node* node_;
  const Origin* origin_;
  std::string path_;
  const Node* forms_ = nullptr;  // the node one of whose forms was wanted
  std::string forms_path_;
};

}  // namespace riseml::spec
