#include "cli/render/sync_view.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/render/format.h"
#include "cli/render/table.h"
#include "cli/sync/default_rules.h"
#include "cli/sync/ignore.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kManyBytes = 50 << 20;
constexpr std::int64_t kManyFiles = 1000;
constexpr std::size_t kMostNamed = 5;
constexpr std::size_t kMostSurprises = 3;

std::string Files(std::int64_t count) { return absl::StrCat(count, " file", count == 1 ? "" : "s"); }

// The first `most` texts and how many more there are.
std::string Some(const std::vector<std::string>& texts, std::size_t most = kMostNamed) {
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(most, texts.size()); ++i) named.push_back(OneLine(texts[i]));
  const std::string more = texts.size() > most ? absl::StrCat(" and ", texts.size() - most, " more") : "";
  return absl::StrCat(absl::StrJoin(named, ", "), more);
}

std::string Advice(const sync::UploadSize& upload) {
  if (upload.bytes < kManyBytes && upload.files < kManyFiles) return "";
  std::vector<std::string> largest;
  for (const sync::SnapshotFile* file : upload.largest)
    largest.push_back(absl::StrCat(OneLine(file->file.path), " (", Size(file->file.stamp.bytes), ")"));
  return absl::StrCat(
      "WARNING: much is sent: ", Size(upload.bytes), " in ", Files(upload.files),
      ". List what training does not need in .risemlignore.\n         Largest: ", absl::StrJoin(largest, ", "), "\n");
}

// True for paths that nobody expects to be sent: .git, also of submodules, and the configuration itself.
bool GoesWithoutSaying(const std::string& path) {
  return path == ".git/" || path == ".git" || absl::EndsWith(path, "/.git/") || absl::EndsWith(path, "/.git") ||
         (absl::StartsWith(path, "riseml") && absl::EndsWith(path, ".yml") && !absl::StrContains(path, '/'));
}

bool IsDirectory(const sync::SkippedPath& path) { return absl::EndsWith(path.path, "/"); }

std::string AmountOf(const sync::SkippedPath& path) {
  const std::string more = path.measured ? "" : "more than ";
  if (!IsDirectory(path)) return Size(path.bytes);
  if (!path.measured && path.files == 0) return "";
  return absl::StrCat(more, Files(path.files), ", ", Size(path.bytes));
}

// Rates how much a user would be surprised that a path is missing: tracked files most, then code.
int Surprise(const sync::SkippedPath& path) {
  if (path.tracked) return 3;
  if (path.expected || path.kept_out) return 0;
  return !IsDirectory(path) && sync::LooksLikeCode(path.path) ? 2 : 1;
}

// Order of a list: surprises first, then by size.
std::vector<const sync::SkippedPath*> ByImportance(const std::vector<sync::SkippedPath>& skipped) {
  std::vector<const sync::SkippedPath*> out;
  for (const sync::SkippedPath& path : skipped)
    if (!GoesWithoutSaying(path.path) && !path.secret) out.push_back(&path);
  const auto key = [](const sync::SkippedPath* path) {
    return std::tuple(-Surprise(*path), -path->bytes, absl::string_view(path->path));
  };
  std::sort(out.begin(), out.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });
  const auto rest = std::find_if(out.begin(), out.begin() + std::min(out.size(), kMostSurprises),
                                 [](const auto* path) { return Surprise(*path) < 2; });
  std::sort(rest, out.end(), [](const auto* a, const auto* b) {
    return std::tuple(a->expected, a->kept_out, -a->bytes, absl::string_view(a->path)) <
           std::tuple(b->expected, b->kept_out, -b->bytes, absl::string_view(b->path));
  });
  return out;
}

std::string WhyShort(const sync::SkippedPath& path) {
  const std::string amount = path.expected ? "" : AmountOf(path);
  if (!path.link_target.empty())
    return absl::StrCat(OneLine(path.path), " (", OneLine(path.reason), "; a link to ", OneLine(path.link_target),
                        ", outside of the project)");
  return absl::StrCat(OneLine(path.path), " (", OneLine(path.reason), path.tracked ? "; tracked by git" : "",
                      path.partly ? "; except what git tracks or .risemlignore brings back" : "",
                      amount.empty() ? "" : ", ", amount, ")");
}

std::string BringBackHint(const std::string& path, bool alone) {
  return absl::StrCat(". If the job needs ", alone ? "it" : OneLine(path), ": the line !",
                      OneLine(sync::PatternFor(path)), " in .risemlignore brings it back");
}

std::string LeftOut(const sync::Snapshot& snapshot) {
  std::vector<std::string> secrets, others;
  std::int64_t unsaid = 0;
  for (const sync::SkippedPath& path : snapshot.scan.skipped) {
    unsaid += GoesWithoutSaying(path.path) ? 1 : 0;
    if (path.secret) secrets.push_back(path.path);
  }
  std::string first, link;  // first path that a line brings back, and target of the first link that leads elsewhere
  for (const sync::SkippedPath* path : ByImportance(snapshot.scan.skipped)) {
    if (others.size() == kMostNamed) break;
    const bool leads_elsewhere = !path->link_target.empty();
    if (leads_elsewhere && link.empty()) link = path->link_target;
    if (!leads_elsewhere && (!path->kept_out || path->tracked) && first.empty()) first = path->path;
    others.push_back(WhyShort(*path));
  }
  std::string out;
  const std::int64_t more = snapshot.scan.skipped_count - unsaid - static_cast<std::int64_t>(secrets.size()) -
                            static_cast<std::int64_t>(others.size());
  if (!others.empty())
    absl::StrAppend(&out, "Left out: ", absl::StrJoin(others, ", "),
                    more > 0 ? absl::StrCat(" and ", more, " more (riseml train --dry-run lists them)") : "",
                    first.empty() ? "" : BringBackHint(first, others.size() == 1), "\n");
  if (!link.empty())
    absl::StrAppend(&out,
                    "NOTE: jobs do not have what lies outside of the project. To give them the data: riseml up "
                    "--data NAME=PATH, then read it at /data/NAME\n");
  if (!secrets.empty())
    absl::StrAppend(&out, "Left out, as they look like secrets: ", Some(secrets, 2 * kMostNamed), " (the line !",
                    OneLine(sync::PatternFor(secrets.front())), " in .risemlignore brings ",
                    secrets.size() == 1 ? "it" : "the first", " back)\n");
  return out;
}

std::string DvcNote(const sync::Snapshot& snapshot) {
  std::vector<std::string> paths;
  for (const sync::SkippedPath& path : snapshot.scan.skipped)
    if (path.dvc) paths.push_back(path.path);
  if (paths.empty()) return "";
  return absl::StrCat(
      "NOTE: ", Some(paths), paths.size() == 1 ? " is" : " are",
      " managed by DVC and left out, as git ignores what DVC manages. If the job needs it, put it below "
      "/data or add the line !",
      OneLine(sync::PatternFor(paths.front())), " to .risemlignore\n");
}

std::string LinkNotes(const sync::Scan& scan) {
  std::string out;
  std::vector<std::string> to_data, elsewhere;
  for (const std::string& link : scan.links_outside)
    (absl::StrContains(link, " -> /data/") ? to_data : elsewhere).push_back(link);
  if (!to_data.empty())
    absl::StrAppend(&out, "NOTE: ", to_data.size() == 1 ? "a link leads" : "links lead",
                    " to data that jobs have when `riseml system info` lists it: ", Some(to_data), "\n");
  if (!elsewhere.empty())
    absl::StrAppend(&out, "NOTE: ", elsewhere.size() == 1 ? "a link leads" : "links lead",
                    " out of the project, to what the job may not have: ", Some(elsewhere),
                    ". Data for jobs belongs below /data: riseml up --data NAME=PATH\n");
  if (!scan.links_to_left_out.empty())
    absl::StrAppend(&out, "NOTE: ", scan.links_to_left_out.size() == 1 ? "a link leads" : "links lead",
                    " to what is left out: ", Some(scan.links_to_left_out), "\n");
  return out;
}

std::string GitNotes(const sync::Snapshot& snapshot) {
  std::string out;
  const sync::Scan& scan = snapshot.scan;
  if (const std::size_t count = scan.empty_submodules.size(); count > 0)
    absl::StrAppend(&out, "NOTE: submodule", count == 1 ? " " : "s ", Some(scan.empty_submodules),
                    count == 1 ? " is" : " are", " not checked out: ",
                    scan.in_git ? "git submodule update --init --recursive"
                                : "this is no git work tree; get the project with git clone --recurse-submodules",
                    "\n");
  if (const std::size_t count = snapshot.lfs_pointers.size(); count > 0)
    absl::StrAppend(&out, "NOTE: ", Some(snapshot.lfs_pointers),
                    count == 1 ? " is a Git LFS pointer: " : " are Git LFS pointers: ", "git lfs pull\n");
  if (!scan.tracked_secrets.empty())
    absl::StrAppend(&out, "NOTE: ", Some(scan.tracked_secrets, 2 * kMostNamed),
                    scan.tracked_secrets.size() == 1 ? " looks like a secret and is" : " look like secrets and are",
                    " uploaded, as git tracks ", scan.tracked_secrets.size() == 1 ? "it" : "them", "; the line ",
                    OneLine(sync::PatternFor(scan.tracked_secrets.front())), " in .risemlignore keeps ",
                    scan.tracked_secrets.size() == 1 ? "it" : "the first", " out\n");
  return out;
}

std::vector<std::string> UploadRow(const sync::SnapshotFile& file) {
  std::string why = OneLine(file.file.why);
  if (file.file.mode == git::Mode::kSymlink) why = absl::StrCat("link to ", OneLine(file.file.link_target));
  return {absl::StrCat("  ", OneLine(file.file.path)), Size(file.file.stamp.bytes), why};
}

std::vector<std::string> LeftOutRow(const sync::SkippedPath& path) {
  return {absl::StrCat("  ", OneLine(path.path)), AmountOf(path),
          absl::StrCat(OneLine(path.reason), path.tracked ? "; tracked by git" : "", path.dvc ? "; managed by DVC" : "",
                       path.partly ? "; except what git tracks or .risemlignore brings back" : "")};
}

}  // namespace

std::string SyncTitle(const sync::Snapshot& snapshot, const sync::UploadSize& upload) {
  const auto all = static_cast<std::int64_t>(snapshot.files.size());
  if (upload.objects == 0)
    return absl::StrCat("Project is unchanged (", Size(snapshot.total_bytes), ", ", Files(all), "); nothing is sent");
  if (upload.files == all) return absl::StrCat("Syncing project (", Size(upload.bytes), ", ", Files(all), ")...");
  return absl::StrCat("Syncing project (", Size(upload.bytes), ", ", upload.files, " of ", Files(all), ")...");
}

std::string SyncNotes(const sync::Snapshot& snapshot, const sync::UploadSize& upload) {
  std::string out =
      absl::StrCat(Advice(upload), LeftOut(snapshot), DvcNote(snapshot), LinkNotes(snapshot.scan), GitNotes(snapshot));
  const auto missed = [](const sync::SkippedPath& path) { return !GoesWithoutSaying(path.path); };
  if (snapshot.files.empty() && std::ranges::any_of(snapshot.scan.skipped, missed))
    absl::StrAppend(&out, "WARNING: the project has no file to upload: riseml train --dry-run says why\n");
  for (const std::string& path : snapshot.vanished)
    absl::StrAppend(&out, "WARNING: ", OneLine(path), " was gone before it was read and is not uploaded\n");
  for (const std::string& warning : snapshot.warnings) absl::StrAppend(&out, "WARNING: ", OneLine(warning), "\n");
  return out;
}

std::string MovingNotes(const std::vector<std::string>& still_moving) {
  std::string out;
  for (const std::string& path : still_moving) {
    absl::StrAppend(&out, "WARNING: ", OneLine(path),
                    " kept changing; the experiment has it as it was when it was read\n");
  }
  return out;
}

std::string DryRunText(const Terminal& terminal, const sync::Snapshot& snapshot) {
  std::vector<std::vector<std::string>> rows;
  for (const sync::SnapshotFile& file : snapshot.files) rows.push_back(UploadRow(file));
  for (const std::string& path : snapshot.scan.directories)
    rows.push_back({absl::StrCat("  ", OneLine(path), "/"), "", "empty directory"});
  const auto files = static_cast<std::int64_t>(snapshot.files.size());
  const std::vector<Column> columns = {{"  PATH"}, {"SIZE"}, {"WHY"}};
  std::string out = absl::StrCat("Would upload ", Files(files), " (", Size(snapshot.total_bytes), "):\n",
                                 rows.empty() ? "" : Table(terminal, columns, rows, 2));
  rows.clear();
  for (const sync::SkippedPath& path : snapshot.scan.skipped) rows.push_back(LeftOutRow(path));
  absl::StrAppend(&out, "Would leave out ", snapshot.scan.skipped_count, " path",
                  snapshot.scan.skipped_count == 1 ? "" : "s", rows.empty() ? "\n" : ":\n",
                  rows.empty() ? "" : Table(terminal, columns, rows, 2));
  return absl::StrCat(out, "Nothing was sent and no experiment was started.\n");
}

}  // namespace riseml::cli
