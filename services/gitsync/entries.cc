#include "services/gitsync/entries.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"
#include "services/gitsync/archive.h"

namespace riseml::gitsync {
namespace {

using internal::v1::CodeEntry;

constexpr std::size_t kMaxPaths = 500;
constexpr std::int64_t kMaxContentBytes = 256 << 10;  // of one file
constexpr std::int64_t kMaxAnswerBytes = 2 << 20;     // of all contents and names
constexpr std::size_t kMaxChildren = 2000;
constexpr int kMaxLinks = 20;

// Replaces the link parts[link] by its target; returns false if the target leaves the project.
bool FollowLink(absl::string_view target, std::size_t link, std::vector<std::string>* parts) {
  if (target.empty() || target[0] == '/') return false;
  std::vector<std::string> path(parts->begin(), parts->begin() + static_cast<std::ptrdiff_t>(link));
  for (const absl::string_view part : absl::StrSplit(target, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      path.emplace_back(part);
      continue;
    }
    if (path.empty()) return false;
    path.pop_back();
  }
  path.insert(path.end(), parts->begin() + static_cast<std::ptrdiff_t>(link) + 1, parts->end());
  *parts = std::move(path);
  return true;
}

CodeEntry::Kind KindOf(git::Mode mode) {
  if (mode == git::Mode::kDirectory) return CodeEntry::DIRECTORY;
  return mode == git::Mode::kSymlink ? CodeEntry::LINK : CodeEntry::FILE;
}

// Reads one revision's objects, each tree once.
class Reader {
 public:
  Reader(const ObjectDatabase& objects, const git::ObjectId& root) : objects_(objects), root_(root) {}

  absl::StatusOr<std::optional<CodeEntry>> Read(absl::string_view path) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<git::TreeEntry> found, Find(path));
    if (!found) return std::optional<CodeEntry>();
    CodeEntry entry;
    entry.set_kind(KindOf(found->mode));
    entry.set_id(git::Hex(found->id));
    RISEML_RETURN_IF_ERROR(found->mode == git::Mode::kDirectory ? AddChildren(found->id, &entry)
                                                                : AddContent(found->id, &entry));
    return std::optional<CodeEntry>(std::move(entry));
  }

 private:
  using Tree = std::vector<git::TreeEntry>;

  absl::StatusOr<const Tree*> ReadTree(const git::ObjectId& id) {
    const auto known = trees_.find(id);
    if (known != trees_.end()) return &known->second;
    RISEML_ASSIGN_OR_RETURN(const std::string content, objects_.Read(git::ObjectKind::kTree, id));
    RISEML_ASSIGN_OR_RETURN(Tree entries, git::ParseTree(content));
    return &trees_.emplace(id, std::move(entries)).first->second;
  }

  absl::StatusOr<std::optional<git::TreeEntry>> Find(absl::string_view path) {
    git::TreeEntry at{.name = "", .mode = git::Mode::kDirectory, .id = root_};
    if (path.empty()) return std::optional<git::TreeEntry>(at);
    std::vector<std::string> parts = absl::StrSplit(path, '/');
    int links = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (at.mode != git::Mode::kDirectory) return std::optional<git::TreeEntry>();
      RISEML_ASSIGN_OR_RETURN(const Tree* const tree, ReadTree(at.id));
      const auto it = std::ranges::find_if(*tree, [&](const git::TreeEntry& entry) { return entry.name == parts[i]; });
      if (it == tree->end()) return std::optional<git::TreeEntry>();
      at = *it;
      if (at.mode != git::Mode::kSymlink || i + 1 == parts.size()) continue;
      RISEML_ASSIGN_OR_RETURN(const std::string target, objects_.Read(git::ObjectKind::kBlob, at.id));
      if (++links > kMaxLinks || !FollowLink(target, i, &parts)) return std::optional<git::TreeEntry>();
      at = {.name = "", .mode = git::Mode::kDirectory, .id = root_};
      i = static_cast<std::size_t>(-1);  // from the root again
    }
    return std::optional<git::TreeEntry>(at);
  }

  absl::Status AddContent(const git::ObjectId& id, CodeEntry* entry) {
    RISEML_ASSIGN_OR_RETURN(const std::optional<ObjectDatabase::Info> info, objects_.Find(id));
    if (!info || info->bytes > kMaxContentBytes || bytes_ + info->bytes > kMaxAnswerBytes) {
      entry->set_content_left_out(true);
      return absl::OkStatus();
    }
    bytes_ += info->bytes;
    RISEML_ASSIGN_OR_RETURN(*entry->mutable_content(), objects_.Read(git::ObjectKind::kBlob, id));
    return absl::OkStatus();
  }

  absl::Status AddChildren(const git::ObjectId& id, CodeEntry* entry) {
    RISEML_ASSIGN_OR_RETURN(const Tree* const tree, ReadTree(id));
    std::int64_t bytes = 0;
    for (const git::TreeEntry& child : *tree) bytes += static_cast<std::int64_t>(child.name.size()) + 60;
    if (tree->size() > kMaxChildren || bytes_ + bytes > kMaxAnswerBytes) {
      entry->set_children_left_out(true);
      return absl::OkStatus();
    }
    bytes_ += bytes;
    for (const git::TreeEntry& child : *tree) {
      CodeEntry& added = (*entry->mutable_children())[child.name];
      added.set_kind(KindOf(child.mode));
      added.set_id(git::Hex(child.id));
    }
    return absl::OkStatus();
  }

  const ObjectDatabase& objects_;
  const git::ObjectId root_;
  std::map<git::ObjectId, Tree> trees_;
  std::int64_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<internal::v1::ReadEntriesResponse> ReadEntries(const Repository& repository, absl::string_view commit,
                                                              const std::vector<std::string>& paths) {
  if (paths.size() > kMaxPaths)
    return LimitExceeded(absl::StrCat("at most ", kMaxPaths, " paths a call"), kMaxPaths, paths.size());
  RISEML_ASSIGN_OR_RETURN(const CommitInfo info, FindCommit(repository, commit));
  Reader reader(repository.objects(), info.tree);
  internal::v1::ReadEntriesResponse response;
  for (const std::string& path : paths) {
    RISEML_ASSIGN_OR_RETURN(std::optional<CodeEntry> entry, reader.Read(path));
    if (entry) (*response.mutable_entries())[path] = *std::move(entry);
  }
  return response;
}

}  // namespace riseml::gitsync
