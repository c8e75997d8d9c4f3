#include "cli/sync/snapshot.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/sync/ignore.h"
#include "cli/sync/index_cache.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

// Number of times that a snapshot reads a file again because it changed during the read.
constexpr int kReadRetries = 4;
constexpr absl::Duration kRecent = absl::Minutes(1);
constexpr std::size_t kOffenders = 5;

std::string Size(std::int64_t bytes) {
  constexpr std::int64_t kMega = 1 << 20;  // as the client counts everywhere
  if (bytes >= kMega) return absl::StrFormat("%.1f MB", static_cast<double>(bytes) / kMega);
  return absl::StrCat(bytes, " bytes");
}

std::string IgnoreLine(const ScannedFile& file) {
  return absl::StrCat("  ", PatternFor(file.path), "   (", Size(file.stamp.bytes), ")");
}

std::string TopDirectory(const std::string& path) {
  const std::size_t slash = path.find('/');
  return slash == path.npos ? std::string() : path.substr(0, slash + 1);
}

absl::Status TooMuch(const std::string& what, const std::vector<std::string>& lines) {
  constexpr absl::string_view kKeep =
      "give data to jobs without uploading it: riseml up --data NAME=PATH shows it at /data/NAME.";
  const std::string advice = lines.empty() ? absl::StrCat("Name what is not code in .risemlignore, and ", kKeep)
                                           : absl::StrCat("If it is not code, add to .risemlignore:\n",
                                                          absl::StrJoin(lines, "\n"), "\nand ", kKeep);
  return Error(Reason::kLimitExceeded, absl::StrCat(what, ". ", advice));
}

// Largest first, at most kOffenders.
std::vector<const ScannedFile*> Largest(const std::vector<ScannedFile>& files, std::int64_t over) {
  std::vector<const ScannedFile*> out;
  for (const ScannedFile& file : files)
    if (file.stamp.bytes > over) out.push_back(&file);
  const auto larger = [](const auto* a, const auto* b) { return a->stamp.bytes > b->stamp.bytes; };
  const std::size_t count = std::min(out.size(), kOffenders);
  std::partial_sort(out.begin(), out.begin() + count, out.end(), larger);
  out.resize(count);
  return out;
}

// Top-level directories with the largest `weight`.
std::vector<std::string> HeaviestDirectories(const std::vector<ScannedFile>& files, bool by_bytes) {
  std::map<std::string, std::int64_t> weights;
  for (const ScannedFile& file : files)
    if (const std::string top = TopDirectory(file.path); !top.empty()) weights[top] += by_bytes ? file.stamp.bytes : 1;
  std::vector<std::pair<std::int64_t, std::string>> sorted;
  for (auto& [path, weight] : weights) sorted.emplace_back(weight, path);
  std::sort(sorted.rbegin(), sorted.rend());
  sorted.resize(std::min(sorted.size(), kOffenders));
  std::vector<std::string> lines;
  for (const auto& [weight, path] : sorted)
    lines.push_back(
        absl::StrCat("  ", PatternFor(path), "   (", by_bytes ? Size(weight) : absl::StrCat(weight, " files"), ")"));
  return lines;
}

// Reads the files of a scan into a snapshot.
class SnapshotReader {
 public:
  SnapshotReader(const SnapshotOptions& options, absl::Time start, const IndexCache& cache, Snapshot& snapshot)
      : options_(options), recent_ns_(absl::ToUnixNanos(start - kRecent)), cache_(cache), snapshot_(snapshot) {}

  absl::Status Add(ScannedFile file) {
    SnapshotFile out;
    bool lfs = false;
    if (file.mode == git::Mode::kSymlink) {
      out.id = git::HashObject(git::ObjectKind::kBlob, file.link_target);
    } else if (const auto known = Known(file)) {
      out.id = *known;
      next_.Put(file.path, file.stamp, out.id);
    } else {
      const absl::Status status = Read(file, out, lfs);
      if (absl::IsNotFound(status)) {
        snapshot_.vanished.push_back(std::move(file.path));
        return absl::OkStatus();
      }
      RISEML_RETURN_IF_ERROR(status);
    }
    if (lfs) snapshot_.lfs_pointers.push_back(file.path);
    snapshot_.total_bytes += file.stamp.bytes;
    out.file = std::move(file);
    snapshot_.files.push_back(std::move(out));
    return absl::OkStatus();
  }

  bool cache_changed() const { return cache_changed_ || next_.size() != cache_.size(); }
  const IndexCache& next() const { return next_; }

 private:
  std::optional<git::ObjectId> Known(const ScannedFile& file) const {
    if (options_.copies == Copies::kAll) return std::nullopt;
    return cache_.Find(file.path, file.stamp);
  }

  bool IsCopied(const ScannedFile& file) const {
    if (options_.copies == Copies::kAll) return true;
    if (options_.copies == Copies::kRecent && file.stamp.modified_ns >= recent_ns_) return true;
    return std::binary_search(options_.copied.begin(), options_.copied.end(), file.path);
  }

  absl::Status Read(ScannedFile& file, SnapshotFile& out, bool& lfs) {
    out.hashed = true;
    const std::string path = absl::StrCat(options_.root, "/", file.path);
    if (IsCopied(file)) return Copy(path, file, out, lfs);
    IdOf id;
    const absl::StatusOr<FileStamp> stamp = ReadStable(path, id, retries_, options_.sleep);
    if (HasReason(stamp.status(), Reason::kFileChanged)) {
      snapshot_.moving.push_back(file.path);
      return Copy(path, file, out, lfs);
    }
    RISEML_RETURN_IF_ERROR(stamp.status());
    out.id = id.Finish();
    lfs = id.is_lfs_pointer();
    file.stamp = *stamp;
    SetMode(file);
    // A pointer is read each time, because the cache does not record that it is one.
    if (!lfs) {
      next_.Put(file.path, file.stamp, out.id);
      cache_changed_ = true;
    }
    return absl::OkStatus();
  }

  // A copy is not cached: the file may have changed since without a trace.
  absl::Status Copy(const std::string& path, ScannedFile& file, SnapshotFile& out, bool& lfs) {
    if (snapshot_.spool == nullptr) snapshot_.spool = std::make_shared<Spool>();
    RISEML_ASSIGN_OR_RETURN(const Spool::Copied copied, snapshot_.spool->Copy(path));
    out.id = copied.id;
    out.spooled = copied.place;
    lfs = copied.is_lfs_pointer;
    file.stamp = copied.stamp;
    SetMode(file);
    return absl::OkStatus();
  }

  static void SetMode(ScannedFile& file) {
    file.mode = (file.stamp.mode & 0100) != 0 ? git::Mode::kExecutable : git::Mode::kFile;
  }

  const SnapshotOptions& options_;
  const std::int64_t recent_ns_;
  const IndexCache& cache_;
  Snapshot& snapshot_;
  IndexCache next_;
  bool cache_changed_ = false;
  int retries_ = kReadRetries;
};

// A file or an empty directory.
struct Leaf {
  absl::string_view path;
  git::Mode mode;
  git::ObjectId id;
};

// Adds the tree of leaves[begin, end), which share the first `prefix` bytes of their path.
git::ObjectId AddTree(const std::vector<Leaf>& leaves, std::size_t begin, std::size_t end, std::size_t prefix,
                      absl::flat_hash_set<git::ObjectId>& seen, std::vector<SnapshotTree>& trees) {
  std::vector<git::TreeEntry> entries;
  while (begin < end) {
    const absl::string_view path = leaves[begin].path;
    const std::size_t slash = path.find('/', prefix);
    if (slash == path.npos) {
      entries.push_back({std::string(path.substr(prefix)), leaves[begin].mode, leaves[begin].id});
      ++begin;
      continue;
    }
    std::size_t next = begin + 1;
    while (next < end && absl::StartsWith(leaves[next].path, path.substr(0, slash + 1))) ++next;
    entries.push_back({std::string(path.substr(prefix, slash - prefix)), git::Mode::kDirectory,
                       AddTree(leaves, begin, next, slash + 1, seen, trees)});
    begin = next;
  }
  std::string content = git::PrintTree(entries);
  const git::ObjectId id = git::HashObject(git::ObjectKind::kTree, content);
  if (seen.insert(id).second) trees.push_back({id, std::move(content)});
  return id;
}

}  // namespace

absl::StatusOr<Snapshot> TakeSnapshot(const SnapshotOptions& options) {
  const absl::Time start = options.clock->Now();
  const std::string cache_directory =
      options.cache_directory.empty() ? DefaultCacheDirectory(options.root) : options.cache_directory;
  const std::string cache_path = cache_directory.empty() ? "" : absl::StrCat(cache_directory, "/index");

  RISEML_ASSIGN_OR_RETURN(Scan scan, ScanProject(options.root, options.scan));
  RISEML_RETURN_IF_ERROR(CheckLimits(scan, options.limits));
  const IndexCache cache = cache_path.empty() ? IndexCache() : IndexCache::Load(cache_path);

  Snapshot snapshot;
  snapshot.root = options.root;
  snapshot.files.reserve(scan.files.size());
  SnapshotReader reader(options, start, cache, snapshot);
  for (ScannedFile& file : scan.files) RISEML_RETURN_IF_ERROR(reader.Add(std::move(file)));
  scan.files.clear();
  snapshot.trees = BuildTrees(snapshot.files, scan.directories);
  snapshot.tree = snapshot.trees.back().id;
  snapshot.warnings = std::move(scan.warnings);
  snapshot.scan = std::move(scan);
  snapshot.window = options.clock->Now() - start;
  if (!cache_path.empty() && reader.cache_changed()) {
    // Without the cache the next push is only slower.
    if (const absl::Status status = reader.next().Save(cache_path, start); !status.ok())
      snapshot.warnings.push_back(absl::StrCat("the cache of file ids was not saved: ", status.message()));
  }
  return snapshot;
}

absl::StatusOr<Snapshot> ListProject(const std::string& root) {
  Snapshot snapshot{.root = root};
  RISEML_ASSIGN_OR_RETURN(snapshot.scan, ScanProject(root));
  for (ScannedFile& file : std::exchange(snapshot.scan.files, {})) snapshot.files.push_back({.file = std::move(file)});
  snapshot.total_bytes = snapshot.scan.total_bytes;
  return snapshot;
}

absl::Status CheckLimits(const Scan& scan, const v1::Limits& limits) {
  if (limits.file_bytes() > 0) {
    std::vector<std::string> lines;
    for (const ScannedFile* file : Largest(scan.files, limits.file_bytes())) lines.push_back(IgnoreLine(*file));
    if (!lines.empty())
      return TooMuch(absl::StrCat("a file may have ", Size(limits.file_bytes()), " and some have more"), lines);
  }
  const auto count = static_cast<std::int64_t>(scan.files.size() + scan.directories.size());
  if (limits.files() > 0 && count > limits.files())
    return TooMuch(
        absl::StrCat("the project has ", count, " files and empty directories; a revision may have ", limits.files()),
        HeaviestDirectories(scan.files, false));
  if (limits.revision_bytes() > 0 && scan.total_bytes > limits.revision_bytes()) {
    std::vector<std::string> lines = HeaviestDirectories(scan.files, true);
    for (const ScannedFile* file : Largest(scan.files, 0)) lines.push_back(IgnoreLine(*file));
    return TooMuch(absl::StrCat("the project has ", Size(scan.total_bytes), "; a revision may have ",
                                Size(limits.revision_bytes())),
                   lines);
  }
  return absl::OkStatus();
}

std::vector<SnapshotTree> BuildTrees(const std::vector<SnapshotFile>& files,
                                     const std::vector<std::string>& directories) {
  const git::ObjectId none = git::HashObject(git::ObjectKind::kTree, "");
  std::vector<Leaf> leaves;
  leaves.reserve(files.size() + directories.size());
  auto directory = directories.begin();
  for (const SnapshotFile& file : files) {
    for (; directory != directories.end() && *directory < file.file.path; ++directory)
      leaves.push_back({*directory, git::Mode::kDirectory, none});
    leaves.push_back({file.file.path, file.file.mode, file.id});
  }
  for (; directory != directories.end(); ++directory) leaves.push_back({*directory, git::Mode::kDirectory, none});
  std::vector<SnapshotTree> trees;
  absl::flat_hash_set<git::ObjectId> seen;
  if (!directories.empty()) {
    seen.insert(none);
    trees.push_back({none, ""});
  }
  AddTree(leaves, 0, leaves.size(), 0, seen, trees);
  return trees;
}

std::vector<std::string> ChangedSince(const Snapshot& snapshot) {
  std::vector<std::string> changed;
  for (const SnapshotFile& file : snapshot.files) {
    if (!file.hashed) continue;
    const absl::StatusOr<FileStamp> now = StampOf(absl::StrCat(snapshot.root, "/", file.file.path));
    if (!now.ok() || *now != file.file.stamp) changed.push_back(file.file.path);
  }
  return changed;
}

}  // namespace riseml::sync
