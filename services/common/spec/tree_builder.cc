#include "services/common/spec/tree_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kMostLevels = 32;
constexpr std::size_t kMostNodes = 10'000;
constexpr std::size_t kMostBytes = 1 << 20;

Position PlaceOf(const Node& node) { return {node.line, node.column}; }

bool IsCollection(const Node& node) { return node.kind == Kind::kSequence || node.kind == Kind::kMapping; }

}  // namespace

absl::Status TreeBuilder::Refuse(Position at, absl::string_view what) const {
  return InvalidSpec(name_, {at.line, at.column, "", absl::StrCat("Error in configuration file: ", what)});
}

bool TreeBuilder::ExpectsKey() const {
  return !open_.empty() && open_.back().node.kind == Kind::kMapping && !open_.back().key;
}

absl::Status TreeBuilder::CheckLimits(const Size& added, Position at) {
  nodes_ += added.nodes;
  bytes_ += added.bytes;
  if (open_.size() + added.levels > kMostLevels)
    return Refuse(at, absl::StrCat("more than ", kMostLevels, " levels of lists and maps: write a flatter file"));
  if (nodes_ > kMostNodes)
    return Refuse(at, absl::StrCat("more than ", kMostNodes, " values, aliases expanded: write a smaller file"));
  if (bytes_ > kMostBytes)
    return Refuse(at, absl::StrCat("more than ", kMostBytes, " bytes of text, aliases expanded: write a smaller file"));
  return absl::OkStatus();
}

absl::Status TreeBuilder::Scalar(Node scalar, std::size_t anchor, bool implied) {
  if (scalar.text.find('\0') != std::string::npos)
    return Refuse(PlaceOf(scalar), "text with a NUL character, which no command or variable can hold: remove the \\0");
  if (implied && !open_.empty() && open_.back().key) {
    scalar.line = open_.back().key->line;
    scalar.column = open_.back().key->column;
  }
  const Size size{1, scalar.text.size(), 1};
  RISEML_RETURN_IF_ERROR(CheckLimits(size, PlaceOf(scalar)));
  if (anchor != 0) anchors_[anchor] = {scalar, size};
  return Place(std::move(scalar), size);
}

absl::Status TreeBuilder::Open(Kind kind, Position at, std::size_t anchor) {
  if (ExpectsKey())
    return Refuse(at,
                  "a list or map as a key: close each bracket, and put text that begins with '{', '[' or '{{' in "
                  "quotes, run: \"{{x}} …\"");
  RISEML_RETURN_IF_ERROR(CheckLimits(Size{}, at));
  Frame frame;
  frame.node.kind = kind;
  frame.node.line = at.line;
  frame.node.column = at.column;
  frame.anchor = anchor;
  open_.push_back(std::move(frame));
  return absl::OkStatus();
}

absl::Status TreeBuilder::Close() {
  Frame frame = std::move(open_.back());
  open_.pop_back();
  if (frame.node.kind == Kind::kMapping) RISEML_RETURN_IF_ERROR(Merge(frame.node));
  if (frame.anchor != 0) anchors_[frame.anchor] = {frame.node, frame.size};
  return Place(std::move(frame.node), frame.size);
}

absl::Status TreeBuilder::Alias(std::size_t anchor, Position at) {
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end())
    return Refuse(at, "an alias inside the very value it names: write the value out instead of '*'");
  if (ExpectsKey() && IsCollection(found->second.node)) return Refuse(at, "a list or map as a key: write text as key");
  RISEML_RETURN_IF_ERROR(CheckLimits(found->second.size, at));
  Node copy = found->second.node;
  copy.line = at.line;
  copy.column = at.column;
  return Place(std::move(copy), found->second.size);
}

absl::Status TreeBuilder::Place(Node node, const Size& size) {
  if (open_.empty()) {
    root_ = std::move(node);
    return absl::OkStatus();
  }
  Frame& parent = open_.back();
  parent.size.nodes += size.nodes;
  parent.size.bytes += size.bytes;
  parent.size.levels = std::max(parent.size.levels, size.levels + 1);
  if (parent.node.kind == Kind::kMapping && !parent.key) return AddKey(parent, std::move(node));
  if (node.kind == Kind::kMerge) node.kind = Kind::kText;
  if (parent.node.kind == Kind::kMapping) {
    parent.node.keys.push_back(*std::exchange(parent.key, std::nullopt));
  }
  parent.node.children.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status TreeBuilder::AddKey(Frame& frame, Node key) {
  for (const Node& other : frame.node.keys) {
    if (other.text != key.text || other.kind != key.kind) continue;
    return Refuse(PlaceOf(key), absl::StrCat("the key ", PythonText(key), " was already given in line ", other.line,
                                             ": keep one of the two"));
  }
  frame.key = std::move(key);
  return absl::OkStatus();
}

// Keys written in the mapping win over merged ones, earlier maps of a list over later ones.
absl::Status TreeBuilder::Merge(Node& mapping) {
  const auto merge =
      std::find_if(mapping.keys.begin(), mapping.keys.end(), [](const Node& key) { return key.kind == Kind::kMerge; });
  if (merge == mapping.keys.end()) return absl::OkStatus();
  const auto at = merge - mapping.keys.begin();
  const Node from = std::move(mapping.children[at]);
  mapping.keys.erase(merge);
  mapping.children.erase(mapping.children.begin() + at);
  if (from.kind != Kind::kSequence) return MergeOne(mapping, from);
  for (const Node& one : from.children) RISEML_RETURN_IF_ERROR(MergeOne(mapping, one));
  return absl::OkStatus();
}

absl::Status TreeBuilder::MergeOne(Node& mapping, const Node& from) {
  if (from.kind != Kind::kMapping)
    return Refuse(PlaceOf(from), "'<<' merges maps only: write an alias of a map, or a list of such aliases");
  for (std::size_t i = 0; i < from.keys.size(); ++i) {
    const Node& key = from.keys[i];
    const bool known = std::any_of(mapping.keys.begin(), mapping.keys.end(),
                                   [&](const Node& other) { return other.text == key.text && other.kind == key.kind; });
    if (known) continue;
    mapping.keys.push_back(key);
    mapping.children.push_back(from.children[i]);
  }
  return absl::OkStatus();
}

Node TreeBuilder::Take() { return root_ ? *std::exchange(root_, std::nullopt) : Node{}; }

}  // namespace riseml::spec
