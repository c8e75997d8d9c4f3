// Puts a tree together from the events of a reader and enforces every limit that depends on its shape.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/common/spec/node.h"
#include "services/common/spec/source.h"

namespace riseml::spec {

// At most 32 levels, 10,000 nodes and 1 MB of text, aliases expanded; no alias inside what it names; unique scalar
// keys; `<<` merged. A builder must not be used after its first error. Lives on one thread.
class TreeBuilder {
 public:
  // `name` is the file's, for messages.
  explicit TreeBuilder(std::string name) : name_(std::move(name)) {}

  // A scalar; with an anchor other than 0 it can be named by Alias from now on. `implied` is a value that is not
  // written out (`key:`); it gets the place of its key.
  absl::Status Scalar(Node scalar, std::size_t anchor = 0, bool implied = false);
  absl::Status Open(Kind kind, Position at, std::size_t anchor = 0);
  absl::Status Close();
  absl::Status Alias(std::size_t anchor, Position at);

  // True once the root is complete.
  bool done() const { return root_.has_value(); }
  // True when the next event is the key of a mapping.
  bool ExpectsKey() const;
  // The tree; null when nothing was read.
  Node Take();

 private:
  struct Size {
    std::size_t nodes = 1;
    std::size_t bytes = 0;
    std::size_t levels = 1;
  };
  struct Frame {
    Node node;
    std::size_t anchor = 0;
    Size size;
    std::optional<Node> key;
  };
  struct Anchored {
    Node node;
    Size size;
  };

  absl::Status Place(Node node, const Size& size);
  absl::Status AddKey(Frame& frame, Node key);
  absl::Status Merge(Node& mapping);
  absl::Status MergeOne(Node& mapping, const Node& from);
  absl::Status CheckLimits(const Size& added, Position at);
  absl::Status Refuse(Position at, absl::string_view what) const;

  std::string name_;
  std::vector<Frame> open_;
  std::map<std::size_t, Anchored> anchors_;
  std::optional<Node> root_;
  std::size_t nodes_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace riseml::spec
