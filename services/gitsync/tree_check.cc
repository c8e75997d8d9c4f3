#include "services/gitsync/tree_check.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"

namespace riseml::gitsync {
namespace {

constexpr std::size_t kMaxCachedTrees = 100'000;
constexpr std::int64_t kSaturated = std::int64_t{1} << 60;

std::int64_t AddSaturated(std::int64_t a, std::int64_t b) { return std::min(a + b, kSaturated); }

class Checker {
 public:
  Checker(const PushedObjects& pushed, const ObjectDatabase& objects, const Limits& limits, TreeSummaryCache& cache)
      : pushed_(pushed), objects_(objects), limits_(limits), cache_(cache) {}

  absl::StatusOr<TreeSummary> Check(const git::ObjectId& root) {
    RISEML_ASSIGN_OR_RETURN(const TreeSummary summary, Visit(root, "", 1));
    RISEML_RETURN_IF_ERROR(CheckLimits(summary));
    if (used_.size() != pushed_.size())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(pushed_.size() - used_.size(), " objects of the push are not part of its tree"));
    return summary;
  }

 private:
  static absl::Status Invalid(absl::string_view path, absl::string_view what) {
    return Error(Reason::kInvalidArgument,
                 absl::StrCat(path.empty() ? "the project's root" : git::Printable(path), " ", what));
  }

  static absl::Status TooDeep(int depth) {
    return LimitExceeded(absl::StrCat("the revision is more than ", kMaxDepth, " directories deep"), kMaxDepth, depth);
  }

  absl::Status CheckLimits(const TreeSummary& summary) const {
    if (summary.files > limits_.files)
      return LimitExceeded(absl::StrCat("the revision has more than ", limits_.files, " files"), limits_.files,
                           summary.files);
    // Without this bound a few small trees could stand for any number of directories.
    if (summary.files + summary.empty_directories > limits_.files)
      return LimitExceeded(absl::StrCat("the revision has more than ", limits_.files, " files and empty directories"),
                           limits_.files, summary.files + summary.empty_directories);
    if (summary.bytes > limits_.revision_bytes)
      return LimitExceeded(absl::StrCat("the revision has more than ", limits_.revision_bytes, " bytes of files"),
                           limits_.revision_bytes, summary.bytes);
    if (summary.path_bytes > kMaxPathBytes)
      return LimitExceeded(absl::StrCat("the revision has a path longer than ", kMaxPathBytes, " bytes"), kMaxPathBytes,
                           summary.path_bytes);
    if (summary.depth > kMaxDepth) return TooDeep(summary.depth);
    return absl::OkStatus();
  }

  // `depth` counts the tree itself.
  absl::StatusOr<TreeSummary> Visit(const git::ObjectId& id, const std::string& path, int depth) {
    if (depth > kMaxDepth) return TooDeep(depth);
    if (const auto it = done_.find(id); it != done_.end()) return it->second;
    const auto pushed = pushed_.find(id);
    if (pushed != pushed_.end()) {
      if (pushed->second.kind != git::ObjectKind::kTree)
        return Invalid(path, "is said to be a directory and is a file");
      used_.insert(id);
    } else {
      if (!objects_.Has(id)) return Missing(path, id);
      if (auto cached = cache_.Find(id)) return *cached;
    }
    RISEML_ASSIGN_OR_RETURN(TreeSummary summary, Read(id, path, depth));
    done_.emplace(id, summary);
    return summary;
  }

  absl::StatusOr<TreeSummary> Read(const git::ObjectId& id, const std::string& path, int depth) {
    const absl::StatusOr<std::string> content = objects_.Read(git::ObjectKind::kTree, id);
    if (HasReason(content.status(), Reason::kNotFound)) return Invalid(path, "is said to be a directory and is a file");
    RISEML_RETURN_IF_ERROR(content.status());
    const absl::StatusOr<std::vector<git::TreeEntry>> entries = git::ParseTree(*content);
    if (!entries.ok()) return While(path.empty() ? "the project's root" : git::Printable(path), entries.status());
    TreeSummary summary;
    for (const git::TreeEntry& entry : *entries) {
      const std::string entry_path = path.empty() ? entry.name : absl::StrCat(path, "/", entry.name);
      TreeSummary below;
      if (entry.mode == git::Mode::kDirectory) {
        RISEML_ASSIGN_OR_RETURN(below, Visit(entry.id, entry_path, depth + 1));
      } else {
        RISEML_ASSIGN_OR_RETURN(below, File(entry, entry_path));
      }
      summary.files = AddSaturated(summary.files, below.files);
      summary.empty_directories = AddSaturated(summary.empty_directories, below.empty_directories);
      summary.bytes = AddSaturated(summary.bytes, below.bytes);
      const auto name_bytes = static_cast<std::int64_t>(entry.name.size());
      summary.path_bytes = std::max(summary.path_bytes, name_bytes + (below.path_bytes > 0 ? 1 + below.path_bytes : 0));
      if (entry.mode == git::Mode::kDirectory) summary.depth = std::max(summary.depth, 1 + below.depth);
    }
    if (entries->empty()) summary.empty_directories = 1;
    return summary;
  }

  absl::StatusOr<TreeSummary> File(const git::TreeEntry& entry, const std::string& path) {
    TreeSummary summary;
    summary.files = 1;
    summary.depth = 0;
    RISEML_ASSIGN_OR_RETURN(const std::optional<ObjectDatabase::Info> info, Find(entry.id));
    if (!info) return Missing(path, entry.id);
    if (info->kind != git::ObjectKind::kBlob) return Invalid(path, "is said to be a file and is a directory");
    summary.bytes = info->bytes;
    if (info->bytes > limits_.file_bytes)
      return WithMetadata(LimitExceeded(absl::StrCat(git::Printable(path), " has ", info->bytes,
                                                     " bytes; a file may have ", limits_.file_bytes),
                                        limits_.file_bytes, info->bytes),
                          "path", git::Printable(path));
    if (entry.mode != git::Mode::kSymlink) return summary;
    if (info->bytes > kMaxLinkBytes) return Invalid(path, "is a link with a target longer than 4,000 bytes");
    RISEML_ASSIGN_OR_RETURN(const std::string target, objects_.Read(git::ObjectKind::kBlob, entry.id));
    RISEML_RETURN_IF_ERROR(While(git::Printable(path), git::CheckLinkTarget(target)));
    return summary;
  }

  absl::StatusOr<std::optional<ObjectDatabase::Info>> Find(const git::ObjectId& id) {
    const auto it = pushed_.find(id);
    if (it == pushed_.end()) return objects_.Find(id);
    used_.insert(id);
    return std::optional<ObjectDatabase::Info>(ObjectDatabase::Info{it->second.kind, it->second.bytes});
  }

  static absl::Status Missing(absl::string_view path, const git::ObjectId& id) {
    return Invalid(path, absl::StrCat("needs object ", git::Hex(id),
                                      ", which is neither in the push nor in the project; push again"));
  }

 public:
  // Trees of a refused push are not kept: they are not part of any project.
  void Remember() {
    for (const auto& [id, summary] : done_) cache_.Add(id, summary);
  }

 private:
  const PushedObjects& pushed_;
  const ObjectDatabase& objects_;
  const Limits& limits_;
  TreeSummaryCache& cache_;
  absl::flat_hash_map<git::ObjectId, TreeSummary> done_;
  absl::flat_hash_set<git::ObjectId> used_;
};

}  // namespace

std::optional<TreeSummary> TreeSummaryCache::Find(const git::ObjectId& tree) const {
  MutexLock lock(mu_);
  const auto it = summaries_.find(tree);
  return it == summaries_.end() ? std::nullopt : std::optional<TreeSummary>(it->second);
}

void TreeSummaryCache::Add(const git::ObjectId& tree, const TreeSummary& summary) {
  MutexLock lock(mu_);
  if (summaries_.size() >= kMaxCachedTrees) summaries_.clear();
  summaries_.emplace(tree, summary);
}

absl::StatusOr<TreeSummary> CheckTree(const git::ObjectId& root, const PushedObjects& pushed,
                                      const ObjectDatabase& objects, const Limits& limits, TreeSummaryCache& cache) {
  Checker checker(pushed, objects, limits, cache);
  RISEML_ASSIGN_OR_RETURN(TreeSummary summary, checker.Check(root));
  checker.Remember();
  return summary;
}

}  // namespace riseml::gitsync
