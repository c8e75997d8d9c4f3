#include "services/builder/registry/blob_sweep.h"

#include <sys/stat.h>

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/oci/manifest.h"

namespace riseml::builder {
namespace {

constexpr absl::Duration kSweepPeriod = absl::Hours(1), kFirstSweep = absl::Minutes(5);
constexpr absl::string_view kAlgorithm = "sha256";
constexpr std::size_t kHexDigits = 64;

using Digests = std::set<std::string, std::less<>>;  // their hex digits

struct Repository {
  Digests images;                             // digests of its manifests
  std::map<std::string, absl::Time> members;  // its layers and configurations, and since when it has them
};

absl::Time ChangeTimeOf(const struct stat& info) { return absl::TimeFromTimespec(info.st_mtim); }

// The time of the last change of a file; nullopt if it has vanished.
std::optional<absl::Time> ChangedAt(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return std::nullopt;
  return ChangeTimeOf(info);
}

bool IsHex(absl::string_view text) {
  return text.size() == kHexDigits && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

class Sweep {
 public:
  Sweep(const std::string& root, absl::Time now, std::stop_token stop)
      : files_(root + "/docker/registry/v2"), now_(now), stop_(std::move(stop)) {}

  absl::StatusOr<SweptBlobs> Run() {
    RISEML_RETURN_IF_ERROR(FindRepositories());
    for (const auto& [name, repository] : repositories_) RISEML_RETURN_IF_ERROR(Look(name, repository));
    RISEML_RETURN_IF_ERROR(FindBlobs());
    for (const std::string& path : unneeded_links_) RISEML_RETURN_IF_ERROR(Remove(path));
    for (const std::string& path : unneeded_blobs_) RISEML_RETURN_IF_ERROR(Remove(path));
    swept_.links = static_cast<int>(unneeded_links_.size());
    swept_.blobs = static_cast<int>(unneeded_blobs_.size());
    return swept_;
  }

 private:
  absl::Status CheckStop() const { return stop_.stop_requested() ? absl::CancelledError("stopped") : absl::OkStatus(); }
  std::string Repositories() const { return files_ + "/repositories"; }
  std::string BlobOf(absl::string_view hex) const {
    return absl::StrCat(files_, "/blobs/", kAlgorithm, "/", hex.substr(0, 2), "/", hex);
  }
  std::string LinkOf(absl::string_view repository, absl::string_view hex) const {
    return absl::StrCat(Repositories(), "/", repository, "/_layers/", kAlgorithm, "/", hex);
  }

  absl::Status FindRepositories() {
    const absl::Status walked = WalkTree(Repositories(), [this](const TreeEntry& entry) -> absl::StatusOr<bool> {
      RISEML_RETURN_IF_ERROR(CheckStop());
      NoteLink(entry.path);
      return !absl::EndsWith(entry.path, "/_uploads") && !absl::EndsWith(entry.path, "/_manifests/tags");
    });
    return HasReason(walked, Reason::kNotFound) ? absl::OkStatus() : walked;  // nothing was ever pushed
  }

  // Notes "NAME/_layers/sha256/HEX/link" and "NAME/_manifests/revisions/sha256/HEX/link".
  void NoteLink(const std::string& path) {
    std::vector<std::string> words = absl::StrSplit(path, '/');
    if (words.size() < 5 || words.back() != "link" || !IsHex(words[words.size() - 2])) return;
    const std::string hex = words[words.size() - 2];
    for (const absl::string_view kind : {"/_layers/", "/_manifests/revisions/"}) {
      const std::string end = absl::StrCat(kind, kAlgorithm, "/", hex, "/link");
      if (!absl::EndsWith(path, end)) continue;
      Repository& repository = repositories_[path.substr(0, path.size() - end.size())];
      if (kind != "/_layers/") {
        repository.images.insert(hex);
      } else if (const auto changed = ChangedAt(absl::StrCat(Repositories(), "/", path))) {
        repository.members[hex] = *changed;
      }
    }
  }

  // Decides what a repository needs, and which of its links it does not.
  absl::Status Look(const std::string& name, const Repository& repository) {
    RISEML_RETURN_IF_ERROR(CheckStop());
    Digests named = repository.images;
    for (const std::string& image : repository.images) RISEML_RETURN_IF_ERROR(AddNamed(image, named));
    for (const auto& [hex, since] : repository.members) {
      linked_.insert(hex);
      if (!named.contains(hex) && now_ - since >= kBlobAge) unneeded_links_.push_back(LinkOf(name, hex));
    }
    linked_.merge(named);
    return absl::OkStatus();
  }

  // Adds every digest in the text of a manifest, whatever its type: users may push kinds that RiseML does not know.
  absl::Status AddNamed(const std::string& image, Digests& named) const {
    const absl::StatusOr<std::string> text = ReadFile(BlobOf(image) + "/data", oci::kMaxDocumentBytes);
    if (HasReason(text.status(), Reason::kNotFound)) return absl::OkStatus();  // nobody can pull it
    RISEML_RETURN_IF_ERROR(text.status());
    const std::string mark = absl::StrCat(kAlgorithm, ":");
    for (std::size_t at = text->find(mark); at != std::string::npos; at = text->find(mark, at + 1))
      if (const std::string hex = text->substr(at + mark.size(), kHexDigits); IsHex(hex)) named.insert(hex);
    return absl::OkStatus();
  }

  absl::Status FindBlobs() {
    const absl::Status walked =
        WalkTree(absl::StrCat(files_, "/blobs/", kAlgorithm), [this](const TreeEntry& entry) -> absl::StatusOr<bool> {
          RISEML_RETURN_IF_ERROR(CheckStop());
          const std::vector<std::string> words = absl::StrSplit(entry.path, '/');
          if (words.size() != 3 || words[2] != "data" || !IsHex(words[1]) || linked_.contains(words[1])) return true;
          struct stat info {};
          if (lstat((BlobOf(words[1]) + "/data").c_str(), &info) != 0 || now_ - ChangeTimeOf(info) < kBlobAge)
            return true;
          unneeded_blobs_.push_back(BlobOf(words[1]));
          swept_.bytes += info.st_size;
          return true;
        });
    return HasReason(walked, Reason::kNotFound) ? absl::OkStatus() : walked;
  }

  absl::Status Remove(const std::string& path) const {
    RISEML_RETURN_IF_ERROR(CheckStop());
    return RemoveTree(path);
  }

  const std::string files_;
  const absl::Time now_;
  const std::stop_token stop_;
  std::map<std::string, Repository> repositories_;
  Digests linked_;  // what repositories have or name
  std::vector<std::string> unneeded_links_, unneeded_blobs_;
  SweptBlobs swept_;
};

}  // namespace

absl::StatusOr<SweptBlobs> SweepBlobs(const std::string& root, absl::Time now, const std::stop_token& stop) {
  return Sweep(root, now, stop).Run();
}

BlobSweeper::BlobSweeper(std::string root, const Clock& clock) : root_(std::move(root)), clock_(clock) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void BlobSweeper::Run(const std::stop_token& stop) const {
  for (absl::Duration pause = kFirstSweep; Pause(stop, pause); pause = kSweepPeriod) {
    const absl::StatusOr<SweptBlobs> swept = SweepBlobs(root_, clock_.Now(), stop);
    if (!swept.ok() && !absl::IsCancelled(swept.status())) {
      LogWarning("blobs_not_swept", {{"path", root_}, {"error", std::string(swept.status().message())}});
    } else if (swept.ok() && swept->links + swept->blobs > 0) {
      LogInfo("blobs_swept", {{"links", swept->links}, {"blobs", swept->blobs}, {"bytes", swept->bytes}});
    }
  }
}

}  // namespace riseml::builder
