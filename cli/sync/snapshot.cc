#include "cli/sync/snapshot.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/sync/index_cache.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr int kScanRetries = 3;
constexpr absl::Duration kScanRetryWait = absl::Milliseconds(50);
constexpr std::size_t kOffenders = 5;

class Hashing final : public FileConsumer {
 public:
  absl::Status Begin(std::int64_t bytes) override {
    hasher_.Start(git::ObjectKind::kBlob, bytes);
    return absl::OkStatus();
  }
  absl::Status Append(absl::string_view piece) override {
    hasher_.Update(piece);
    return absl::OkStatus();
  }
  git::ObjectId Finish() { return hasher_.Finish(); }

 private:
  git::ObjectHasher hasher_;
};

std::string Size(std::int64_t bytes) {
  if (bytes >= 1'000'000) return absl::StrCat(bytes / 1'000'000, ".", bytes / 100'000 % 10, " MB");
  return absl::StrCat(bytes, " bytes");
}

std::string IgnoreLine(const ScannedFile& file) {
  return absl::StrCat("  /", git::Printable(file.path), "   (", Size(file.stamp.bytes), ")");
}

std::string TopDirectory(const std::string& path) {
  const std::size_t slash = path.find('/');
  return slash == path.npos ? std::string() : path.substr(0, slash + 1);
}

absl::Status TooMuch(const std::string& what, const std::vector<std::string>& lines) {
  constexpr absl::string_view kKeep = "keep data where jobs can read it without uploading it.";
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

// The top-level directories with most of what `weight` counts.
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
    lines.push_back(absl::StrCat("  /", git::Printable(path), "   (",
                                 by_bytes ? Size(weight) : absl::StrCat(weight, " files"), ")"));
  return lines;
}

absl::StatusOr<SnapshotFile> Hash(const SnapshotOptions& options, const IndexCache& cache, ScannedFile file) {
  SnapshotFile out;
  if (file.mode == git::Mode::kSymlink) {
    out.id = git::HashObject(git::ObjectKind::kBlob, file.link_target);
  } else if (const auto known = cache.Find(file.path, file.stamp)) {
    out.id = *known;
  } else {
    Hashing hashing;
    RISEML_ASSIGN_OR_RETURN(file.stamp, ReadStable(absl::StrCat(options.root, "/", file.path), hashing, options.sleep));
    out.id = hashing.Finish();
    out.hashed = true;
    file.mode = (file.stamp.mode & 0100) != 0 ? git::Mode::kExecutable : git::Mode::kFile;
  }
  out.file = std::move(file);
  return out;
}

absl::StatusOr<Snapshot> TryTakeSnapshot(const SnapshotOptions& options) {
  const absl::Time start = options.clock->Now();
  const std::string cache_directory =
      options.cache_directory.empty() ? DefaultCacheDirectory(options.root) : options.cache_directory;
  const std::string cache_path = cache_directory.empty() ? "" : absl::StrCat(cache_directory, "/index");

  RISEML_ASSIGN_OR_RETURN(Scan scan, ScanProject(options.root));
  RISEML_RETURN_IF_ERROR(CheckLimits(scan, options.limits));
  const IndexCache cache = cache_path.empty() ? IndexCache() : IndexCache::Load(cache_path);

  Snapshot snapshot;
  snapshot.root = options.root;
  snapshot.files.reserve(scan.files.size());
  IndexCache next;
  bool cache_changed = false;
  for (ScannedFile& file : scan.files) {
    RISEML_ASSIGN_OR_RETURN(SnapshotFile hashed, Hash(options, cache, std::move(file)));
    cache_changed = cache_changed || hashed.hashed;
    if (hashed.file.mode != git::Mode::kSymlink) next.Put(hashed.file.path, hashed.file.stamp, hashed.id);
    snapshot.total_bytes += hashed.file.stamp.bytes;
    snapshot.files.push_back(std::move(hashed));
  }
  snapshot.trees = BuildTrees(snapshot.files);
  snapshot.tree = snapshot.trees.back().id;
  snapshot.skipped = std::move(scan.skipped);
  snapshot.skipped_count = scan.skipped_count;
  snapshot.warnings = std::move(scan.warnings);
  snapshot.window = options.clock->Now() - start;
  if (!cache_path.empty() && (cache_changed || next.size() != cache.size())) {
    // Without the cache the next push is slower, nothing else.
    if (const absl::Status status = next.Save(cache_path, start); !status.ok())
      snapshot.warnings.push_back(absl::StrCat("the cache of file ids was not saved: ", status.message()));
  }
  return snapshot;
}

// Adds the tree of files[begin, end), which share the first `prefix` bytes of their path.
git::ObjectId AddTree(const std::vector<SnapshotFile>& files, std::size_t begin, std::size_t end, std::size_t prefix,
                      absl::flat_hash_set<git::ObjectId>& seen, std::vector<SnapshotTree>& trees) {
  std::vector<git::TreeEntry> entries;
  while (begin < end) {
    const std::string& path = files[begin].file.path;
    const std::size_t slash = path.find('/', prefix);
    if (slash == path.npos) {
      entries.push_back({path.substr(prefix), files[begin].file.mode, files[begin].id});
      ++begin;
      continue;
    }
    std::size_t next = begin + 1;
    while (next < end && files[next].file.path.compare(0, slash + 1, path, 0, slash + 1) == 0) ++next;
    entries.push_back({path.substr(prefix, slash - prefix), git::Mode::kDirectory,
                       AddTree(files, begin, next, slash + 1, seen, trees)});
    begin = next;
  }
  std::string content = git::PrintTree(entries);
  const git::ObjectId id = git::HashObject(git::ObjectKind::kTree, content);
  if (seen.insert(id).second) trees.push_back({id, std::move(content)});
  return id;
}

}  // namespace

absl::StatusOr<Snapshot> TakeSnapshot(const SnapshotOptions& options) {
  // A file that went away between scan and reading is no reason to give up.
  for (int retry = 0;; ++retry) {
    absl::StatusOr<Snapshot> snapshot = TryTakeSnapshot(options);
    if (!HasReason(snapshot.status(), Reason::kFileChanged) || retry == kScanRetries) return snapshot;
    options.sleep(kScanRetryWait);
  }
}

absl::Status CheckLimits(const Scan& scan, const v1::Limits& limits) {
  if (limits.file_bytes() > 0) {
    std::vector<std::string> lines;
    for (const ScannedFile* file : Largest(scan.files, limits.file_bytes())) lines.push_back(IgnoreLine(*file));
    if (!lines.empty())
      return TooMuch(absl::StrCat("a file may have ", Size(limits.file_bytes()), " and some have more"), lines);
  }
  const auto count = static_cast<std::int64_t>(scan.files.size());
  if (limits.files() > 0 && count > limits.files())
    return TooMuch(absl::StrCat("the project has ", count, " files; a revision may have ", limits.files()),
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

std::vector<ScannedFile> LargestFiles(const std::vector<SnapshotFile>& files, std::size_t count) {
  std::vector<const ScannedFile*> sorted;
  for (const SnapshotFile& file : files) sorted.push_back(&file.file);
  count = std::min(count, sorted.size());
  std::partial_sort(sorted.begin(), sorted.begin() + count, sorted.end(),
                    [](const auto* a, const auto* b) { return a->stamp.bytes > b->stamp.bytes; });
  std::vector<ScannedFile> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(*sorted[i]);
  return out;
}

std::vector<SnapshotTree> BuildTrees(const std::vector<SnapshotFile>& files) {
  std::vector<SnapshotTree> trees;
  absl::flat_hash_set<git::ObjectId> seen;
  AddTree(files, 0, files.size(), 0, seen, trees);
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
