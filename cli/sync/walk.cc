#include "cli/sync/walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/sync/exclude.h"
#include "cli/sync/links.h"
#include "cli/sync/measure.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kMaxSkipped = 10'000;
constexpr std::size_t kMaxWarnings = 100;
constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxPathBytes = 3900;
constexpr std::size_t kMaxLinkBytes = 4000;
constexpr std::size_t kMaxNamedLinks = 1000;
constexpr std::int64_t kMaxGitModulesBytes = 1 << 20;
constexpr std::int64_t kBeginningOfFile = 4096;

std::int64_t Nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// Advice at the end of every refusal of a path.
std::string IgnoreAdvice(absl::string_view path) {
  return absl::StrCat("; remove it or add the line ", PatternFor(path), " to .risemlignore");
}

// A directory that is left out while something below it is not.
struct Outer {
  Decision decision;
  SkippedPath skipped;
};

class Walker {
 public:
  Walker(std::string root, const ScanOptions& options, Excluder excluder)
      : root_(std::move(root)),
        budget_(options.measured_entries),
        measures_expected_(options.measures_expected),
        excluder_(std::move(excluder)) {}

  absl::StatusOr<Scan> Run() {
    RISEML_ASSIGN_OR_RETURN(UniqueFd directory, OpenFile(root_, O_RDONLY | O_DIRECTORY));
    const int root = directory.get();
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(root, root_));
    RISEML_RETURN_IF_ERROR(Directory(root, "", names, 1, nullptr));
    std::sort(scan_.files.begin(), scan_.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    std::sort(scan_.directories.begin(), scan_.directories.end());
    CheckLinks(root);
    CheckSubmodules(root);
    scan_.in_git = excluder_.in_git();
    for (const std::string& warning : excluder_.warnings()) Warn(warning);
    return std::move(scan_);
  }

 private:
  // `outer` is the directory above that is left out as a whole, if any. `depth` counts the directory itself.
  absl::Status Directory(int fd, const std::string& path, const std::vector<std::string>& names, int depth,
                         Outer* outer) {
    if (depth > kMaxDepth)
      return Error(Reason::kLimitExceeded, absl::StrCat(git::Printable(path), " is more than ", kMaxDepth,
                                                        " directories deep", IgnoreAdvice(path)));
    RISEML_RETURN_IF_ERROR(excluder_.Enter(path, names));
    WarnAboutCase(names, path);
    const std::size_t before = scan_.files.size() + scan_.directories.size();
    for (const std::string& name : names)
      RISEML_RETURN_IF_ERROR(Entry(fd, names, name, path.empty() ? name : absl::StrCat(path, "/", name), depth, outer));
    if (outer == nullptr && !path.empty() && before == scan_.files.size() + scan_.directories.size())
      scan_.directories.push_back(path);
    excluder_.Leave();
    return absl::OkStatus();
  }

  absl::Status Entry(int directory, const std::vector<std::string>& names, const std::string& name,
                     const std::string& path, int depth, Outer* outer) {
    struct stat info {};
    if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return absl::OkStatus();  // gone since it was listed
      return ErrnoError(errno, absl::StrCat("look at ", root_, "/", git::Printable(path)));
    }
    const bool is_directory = S_ISDIR(info.st_mode);
    const Decision decision = DecideBelow(excluder_.Check(path, is_directory), path, is_directory, outer);
    const bool dvc = std::binary_search(names.begin(), names.end(), absl::StrCat(name, ".dvc"));
    if (is_directory) return Subdirectory(directory, name, path, decision, dvc, depth, outer);
    if (!decision.taken()) {
      LeaveOut(SkippedFile(directory, name, path, decision, dvc, info), outer);
      return absl::OkStatus();
    }
    if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
      LeaveOut({.path = path, .reason = "neither a file nor a directory nor a link"}, outer);
      return absl::OkStatus();
    }
    RISEML_RETURN_IF_ERROR(CheckName(name, path));
    return File(directory, name, path, decision, info);
  }

  // Decides about an entry whose directory is left out: takes it only if git tracks it or .risemlignore brings it back.
  Decision DecideBelow(Decision own, absl::string_view path, bool is_directory, const Outer* outer) const {
    if (outer == nullptr || own.rule == Decision::Rule::kBroughtBack || !own.taken()) return own;
    const bool tracked = outer->decision.rule != Decision::Rule::kRisemlIgnore && !is_directory &&
                         (own.rule == Decision::Rule::kTracked || excluder_.IsTracked(path));
    if (!tracked) return outer->decision;
    return {Decision::Rule::kTracked, outer->decision.reason, own.secret};
  }

  absl::Status CheckName(const std::string& name, const std::string& path) const {
    if (const absl::Status status = git::CheckEntryName(name); !status.ok())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(git::Printable(path), ": ", status.message(), IgnoreAdvice(path)));
    if (path.size() > kMaxPathBytes)
      return Error(Reason::kInvalidArgument, absl::StrCat(git::Printable(path), " is a path of more than ",
                                                          kMaxPathBytes, " bytes", IgnoreAdvice(path)));
    return absl::OkStatus();
  }

  absl::Status Subdirectory(int parent, const std::string& name, const std::string& path, Decision decision, bool dvc,
                            int depth, Outer* outer) {
    if (!decision.taken() && !excluder_.ReachesBelow(path, decision)) {
      LeaveOutDirectory(parent, name, path, decision, dvc, outer);
      return absl::OkStatus();
    }
    UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) {
      if (errno == ENOENT) return absl::OkStatus();
      return While(absl::StrCat("a directory that cannot be read cannot be part of a revision", IgnoreAdvice(path)),
                   ErrnoError(errno, absl::StrCat("open ", root_, "/", git::Printable(path))));
    }
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListDirectory(fd.get(), absl::StrCat(root_, "/", git::Printable(path))));
    if (decision.taken()) decision = excluder_.CheckContents(path, decision, names, ReadsFrom(path));
    if (decision.taken()) {
      RISEML_RETURN_IF_ERROR(CheckName(name, path));
      return Directory(fd.get(), path, names, depth + 1, nullptr);
    }
    if (!excluder_.ReachesBelow(path, decision)) {
      LeaveOutDirectory(parent, name, path, decision, dvc, outer);
      return absl::OkStatus();
    }
    if (outer != nullptr) return Directory(fd.get(), path, names, depth + 1, outer);
    return PartOfDirectory(fd.get(), path, names, decision, dvc, depth);
  }

  absl::Status PartOfDirectory(int fd, const std::string& path, const std::vector<std::string>& names,
                               const Decision& decision, bool dvc, int depth) {
    Outer outer = {decision, Skipped(absl::StrCat(path, "/"), decision, dvc)};
    outer.skipped.files = 0;
    const std::size_t before = scan_.files.size();
    RISEML_RETURN_IF_ERROR(Directory(fd, path, names, depth + 1, &outer));
    outer.skipped.partly = scan_.files.size() > before;
    if (outer.skipped.files > 0) LeaveOut(std::move(outer.skipped), nullptr);
    return absl::OkStatus();
  }

  ReadEntry ReadsFrom(const std::string& path) const {
    return [this, path](absl::string_view name) {
      return ReadFile(absl::StrCat(root_, "/", path, "/", name), kBeginningOfFile).value_or("");
    };
  }

  absl::Status File(int directory, const std::string& name, const std::string& path, const Decision& decision,
                    const struct stat& info) {
    if (static_cast<std::int64_t>(scan_.files.size() + scan_.directories.size()) >= kMaxScannedFiles)
      return Error(Reason::kLimitExceeded,
                   absl::StrCat(root_, " holds more than ", kMaxScannedFiles,
                                " files; is it the project's directory? Add what is not code to .risemlignore"));
    ScannedFile file;
    file.path = path;
    file.stamp = ToStamp(info);
    if (decision.rule == Decision::Rule::kTracked) file.why = absl::StrCat("tracked by git (", decision.reason, ")");
    if (decision.rule == Decision::Rule::kBroughtBack) file.why = decision.reason;
    if (decision.rule == Decision::Rule::kTracked && decision.secret) scan_.tracked_secrets.push_back(path);
    if (S_ISLNK(info.st_mode)) {
      file.mode = git::Mode::kSymlink;
      RISEML_ASSIGN_OR_RETURN(file.link_target, ReadLink(directory, name, path));
      file.stamp.bytes = static_cast<std::int64_t>(file.link_target.size());
    } else {
      file.mode = (info.st_mode & S_IXUSR) != 0 ? git::Mode::kExecutable : git::Mode::kFile;
    }
    scan_.total_bytes += file.stamp.bytes;
    scan_.files.push_back(std::move(file));
    return absl::OkStatus();
  }

  static absl::StatusOr<std::string> ReadLink(int directory, const std::string& name, const std::string& path) {
    std::string target(kMaxLinkBytes + 1, '\0');
    const ssize_t size = readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size < 0) return ErrnoError(errno, absl::StrCat("read the link ", git::Printable(path)));
    target.resize(size);
    if (const absl::Status status = git::CheckLinkTarget(target); !status.ok())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(git::Printable(path), ": ", status.message(), IgnoreAdvice(path)));
    return target;
  }

  SkippedPath Skipped(std::string path, const Decision& decision, bool dvc) const {
    SkippedPath skipped;
    skipped.path = std::move(path);
    skipped.reason = decision.reason;
    skipped.secret = decision.secret && decision.rule != Decision::Rule::kRisemlIgnore;
    skipped.expected = decision.rule == Decision::Rule::kNever || decision.rule == Decision::Rule::kDefault;
    skipped.kept_out = decision.rule == Decision::Rule::kRisemlIgnore;
    skipped.dvc = dvc && decision.rule != Decision::Rule::kRisemlIgnore;
    return skipped;
  }

  SkippedPath SkippedFile(int directory, const std::string& name, const std::string& path, const Decision& decision,
                          bool dvc, const struct stat& info) const {
    SkippedPath skipped = Skipped(path, decision, dvc);
    if (S_ISLNK(info.st_mode))
      if (const auto target = ReadLink(directory, name, path); target.ok() && !ResolveInside(path, *target))
        skipped.link_target = *target;
    skipped.tracked = decision.rule == Decision::Rule::kRisemlIgnore && excluder_.IsTracked(path);
    skipped.bytes = S_ISREG(info.st_mode) ? info.st_size : 0;
    return skipped;
  }

  void LeaveOutDirectory(int parent, const std::string& name, const std::string& path, const Decision& decision,
                         bool dvc, Outer* outer) {
    SkippedPath skipped = Skipped(absl::StrCat(path, "/"), decision, dvc);
    if (skipped.expected && !measures_expected_) {
      skipped.files = 0;
      skipped.measured = false;
      LeaveOut(std::move(skipped), outer);
      return;
    }
    const Amount amount = MeasureDirectory(parent, name, budget_);
    // An empty directory holds nothing that could be left out.
    if (amount.empty && decision.rule == Decision::Rule::kGitIgnore && outer == nullptr &&
        git::CheckEntryName(name).ok()) {
      scan_.directories.push_back(path);
      return;
    }
    skipped.files = amount.files;
    skipped.bytes = amount.bytes;
    skipped.measured = amount.complete;
    LeaveOut(std::move(skipped), outer);
  }

  void LeaveOut(SkippedPath skipped, Outer* outer) {
    if (outer != nullptr) {
      outer->skipped.files += skipped.files;
      outer->skipped.bytes += skipped.bytes;
      outer->skipped.measured = outer->skipped.measured && skipped.measured;
      return;
    }
    ++scan_.skipped_count;
    if (scan_.skipped.size() < kMaxSkipped) scan_.skipped.push_back(std::move(skipped));
  }

  // Names links whose target the job may not have.
  void CheckLinks(int root) {
    for (const ScannedFile& file : scan_.files) {
      if (file.mode != git::Mode::kSymlink) continue;
      const std::string text = absl::StrCat(file.path, " -> ", file.link_target);
      const std::optional<std::string> target = ResolveInside(file.path, file.link_target);
      struct stat info {};
      if (!target) {
        if (scan_.links_outside.size() < kMaxNamedLinks) scan_.links_outside.push_back(text);
      } else if (!target->empty() && !Takes(*target) &&
                 fstatat(root, target->c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
        if (scan_.links_to_left_out.size() < kMaxNamedLinks) scan_.links_to_left_out.push_back(text);
      }
    }
  }

  // True when the path, or something below or a link above it, is part of the revision.
  bool Takes(const std::string& path) const {
    const auto at = [&](const std::string& key) {
      return std::lower_bound(scan_.files.begin(), scan_.files.end(), key,
                              [](const ScannedFile& file, const std::string& text) { return file.path < text; });
    };
    for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
      const std::string above = path.substr(0, end);
      if (const auto link = at(above); link != scan_.files.end() && link->path == above) return true;
    }
    if (const auto file = at(path); file != scan_.files.end() && file->path == path) return true;
    const std::string prefix = absl::StrCat(path, "/");
    if (const auto file = at(prefix); file != scan_.files.end() && absl::StartsWith(file->path, prefix)) return true;
    const auto directory = std::lower_bound(scan_.directories.begin(), scan_.directories.end(), path);
    return directory != scan_.directories.end() && (*directory == path || absl::StartsWith(*directory, prefix));
  }

  void CheckSubmodules(int root) {
    std::vector<std::string> submodules = excluder_.submodules();
    if (const auto text = ReadFile(absl::StrCat(root_, "/.gitmodules"), kMaxGitModulesBytes); text.ok())
      for (std::string& path : ParseGitModules(*text)) submodules.push_back(std::move(path));
    std::sort(submodules.begin(), submodules.end());
    submodules.erase(std::unique(submodules.begin(), submodules.end()), submodules.end());
    for (const std::string& path : submodules) {
      std::int64_t one = 1;
      const Amount amount = MeasureDirectory(root, path, one);
      if (amount.empty || faccessat(root, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        scan_.empty_submodules.push_back(path);
    }
  }

  void Warn(std::string sentence) {
    if (scan_.warnings.size() < kMaxWarnings) scan_.warnings.push_back(std::move(sentence));
  }

  void WarnAboutCase(const std::vector<std::string>& names, const std::string& path) {
    absl::flat_hash_map<std::string, const std::string*> folded;
    for (const std::string& name : names) {
      const auto [it, inserted] = folded.emplace(absl::AsciiStrToLower(name), &name);
      if (inserted) continue;
      Warn(absl::StrCat(git::Printable(path.empty() ? "." : path), " holds ", git::Printable(*it->second), " and ",
                        git::Printable(name), ", which some systems take for one file"));
    }
  }

  const std::string root_;
  std::int64_t budget_;
  const bool measures_expected_;
  Excluder excluder_;
  Scan scan_;
};

}  // namespace

FileStamp ToStamp(const struct stat& info) {
  return {Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim), info.st_size, info.st_ino, info.st_mode};
}

absl::StatusOr<Scan> ScanProject(const std::string& root, const ScanOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Excluder excluder, Excluder::Open(root));
  return Walker(root, options, std::move(excluder)).Run();
}

absl::StatusOr<FileStamp> StampOf(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  return ToStamp(info);
}

}  // namespace riseml::sync
