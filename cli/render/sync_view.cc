#include "cli/render/sync_view.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/render/format.h"

namespace riseml::cli {
namespace {

constexpr std::int64_t kManyBytes = 50 << 20;
constexpr std::int64_t kManyFiles = 1000;
constexpr std::size_t kMostNamed = 5;

std::string Advice(const sync::Snapshot& snapshot) {
  const auto files = static_cast<std::int64_t>(snapshot.files.size());
  if (snapshot.total_bytes < kManyBytes && files < kManyFiles) return "";
  std::vector<std::string> largest;
  for (const sync::ScannedFile& file : sync::LargestFiles(snapshot.files, kMostNamed)) {
    largest.push_back(absl::StrCat(OneLine(file.path), " (", Size(file.stamp.bytes), ")"));
  }
  return absl::StrCat("WARNING: the project is large: ", Size(snapshot.total_bytes), " in ", files,
                      " files. List what training does not need in .risemlignore.\n         Largest: ",
                      absl::StrJoin(largest, ", "), "\n");
}

// True for what nobody expects to be sent: .git, and the configuration itself.
bool GoesWithoutSaying(const std::string& path) {
  return path == ".git/" || (absl::StartsWith(path, "riseml") && absl::EndsWith(path, ".yml"));
}

std::string Skipped(const sync::Snapshot& snapshot) {
  std::vector<std::string> secrets, others;
  std::int64_t unsaid = 0;
  for (const sync::SkippedPath& path : snapshot.skipped) {
    if (GoesWithoutSaying(path.path)) {
      ++unsaid;
    } else if (path.secret) {
      secrets.push_back(OneLine(path.path));
    } else if (others.size() < kMostNamed) {
      others.push_back(absl::StrCat(OneLine(path.path), " (", OneLine(path.reason), ")"));
    }
  }
  std::string out;
  const std::int64_t skipped = snapshot.skipped_count - unsaid - static_cast<std::int64_t>(secrets.size());
  if (skipped > 0 && !others.empty()) {
    const std::int64_t more = skipped - static_cast<std::int64_t>(others.size());
    absl::StrAppend(&out, "Left out: ", absl::StrJoin(others, ", "),
                    more > 0 ? absl::StrCat(" and ", more, " more") : "", "\n");
  }
  if (!secrets.empty()) {
    const std::size_t named = std::min(secrets.size(), kMostNamed * 2);
    const std::string more = secrets.size() > named ? absl::StrCat(" and ", secrets.size() - named, " more") : "";
    secrets.resize(named);
    absl::StrAppend(&out, "Left out, as they look like secrets: ", absl::StrJoin(secrets, ", "), more,
                    " (a line !PATTERN in .risemlignore brings one back)\n");
  }
  return out;
}

}  // namespace

std::string SyncTitle(std::int64_t bytes, std::int64_t files) {
  return absl::StrCat("Syncing project (", Size(bytes), ", ", files, " file", files == 1 ? "" : "s", ")...");
}

std::string SyncNotes(const sync::Snapshot& snapshot) {
  std::string out = absl::StrCat(Advice(snapshot), Skipped(snapshot));
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

}  // namespace riseml::cli
