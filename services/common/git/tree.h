// Git trees as bytes, and the rules for what a checkout may create. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/git/object_id.h"

namespace riseml::git {

enum class Mode : std::uint32_t {
  kDirectory = 0040000,
  kFile = 0100644,
  kExecutable = 0100755,
  kSymlink = 0120000,
};

struct TreeEntry {
  std::string name;
  Mode mode = Mode::kFile;
  ObjectId id;

  friend bool operator==(const TreeEntry&, const TreeEntry&) = default;
};

// Git's order: by bytes, a directory as if its name ended in '/'.
bool TreeOrder(const TreeEntry& a, const TreeEntry& b);

// The tree's bytes; sorts the entries.
std::string PrintTree(std::vector<TreeEntry>& entries);

// The entries of a tree. INVALID_ARGUMENT for anything git itself would not write or a checkout must not create: other
// modes, wrong order, a name twice, a name CheckEntryName refuses.
absl::StatusOr<std::vector<TreeEntry>> ParseTree(absl::string_view content);

// OK when a checkout may create a file of this name: 1 to 255 bytes of UTF-8 without '/' and NUL, not "." or "..", not
// ".git" in any spelling a file system may take for it.
absl::Status CheckEntryName(absl::string_view name);

// OK when a checkout may make a symbolic link with this target: 1 to 4,000 bytes without NUL. Where it leads does not
// matter; code that writes or reads files of a tree must not follow links.
absl::Status CheckLinkTarget(absl::string_view target);

// `text` for messages: what is not printable UTF-8 is escaped, so that a file name cannot forge terminal output.
std::string Printable(absl::string_view text);

}  // namespace riseml::git
