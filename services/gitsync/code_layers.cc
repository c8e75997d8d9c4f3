#include "services/gitsync/code_layers.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"

namespace riseml::gitsync {
namespace {

// Time of all entries. Not before 1980: zip, and with it Python's wheels, cannot say an earlier one.
constexpr std::int64_t kEntryTime = 946'684'800;  // 2000-01-01
// Format of the archives. It is part of the ids: change it when equal trees no longer give the bytes they gave.
constexpr absl::string_view kFormat = "code layer 1";
constexpr std::int64_t kEntryBytes = 4'096;  // what a file costs besides its content
constexpr int kMaxDescents = 16;

struct Sized {
  std::string path;
  git::ObjectId id;
  std::int64_t files = 0, bytes = 0;
  std::int64_t Weight() const { return bytes + files * kEntryBytes; }
};

absl::StatusOr<std::vector<git::TreeEntry>> EntriesOf(const ObjectDatabase& objects, const git::ObjectId& tree) {
  RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kTree, tree));
  return git::ParseTree(content);
}

// Adds files and bytes below a tree. A tree that occurs often is measured once.
class TreeMeter {
 public:
  explicit TreeMeter(const ObjectDatabase& objects) : objects_(objects) {}

  absl::StatusOr<Sized> Measure(const std::string& path, const git::ObjectId& tree) {
    if (const auto known = known_.find(tree); known != known_.end())
      return Sized{path, tree, known->second.files, known->second.bytes};
    Sized sum{path, tree};
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, EntriesOf(objects_, tree));
    for (const git::TreeEntry& entry : entries) {
      if (entry.mode == git::Mode::kDirectory) {
        RISEML_ASSIGN_OR_RETURN(const Sized below, Measure("", entry.id));
        sum.files += below.files;
        sum.bytes += below.bytes;
        continue;
      }
      RISEML_ASSIGN_OR_RETURN(const std::optional<ObjectDatabase::Info> info, objects_.Find(entry.id));
      if (!info) return Error(Reason::kNotFound, absl::StrCat("object ", git::Hex(entry.id), " not found"));
      ++sum.files;
      sum.bytes += info->bytes;
    }
    known_[tree] = sum;
    return sum;
  }

 private:
  const ObjectDatabase& objects_;
  std::map<git::ObjectId, Sized> known_;
};

// Replaces the heaviest directory by its subdirectories while it alone has most of the weight, e.g. "src" of a project
// whose code all lies there.
absl::Status Descend(const ObjectDatabase& objects, TreeMeter& meter, std::int64_t total,
                     std::vector<Sized>& directories) {
  const auto lighter = [](const Sized& a, const Sized& b) { return a.Weight() < b.Weight(); };
  for (int i = 0; i < kMaxDescents; ++i) {
    const auto heaviest = std::max_element(directories.begin(), directories.end(), lighter);
    if (heaviest == directories.end() || heaviest->Weight() * 2 < total) return absl::OkStatus();
    const Sized parent = *heaviest;
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, EntriesOf(objects, parent.id));
    std::vector<Sized> children;
    for (const git::TreeEntry& entry : entries) {
      if (entry.mode != git::Mode::kDirectory) continue;
      RISEML_ASSIGN_OR_RETURN(
          Sized child, meter.Measure(absl::StrCat(parent.path, parent.path.empty() ? "" : "/", entry.name), entry.id));
      children.push_back(std::move(child));
    }
    if (children.empty()) return absl::OkStatus();
    directories.erase(heaviest);
    directories.insert(directories.end(), children.begin(), children.end());
  }
  return absl::OkStatus();
}

std::string PathBelow(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : absl::StrCat(directory, "/", name);
}

// True if one of `paths` is `path` or lies below it.
bool LeadsToOneOf(const std::vector<std::string>& paths, const std::string& path) {
  return std::any_of(paths.begin(), paths.end(), [&path](const std::string& other) {
    return other == path || absl::StartsWith(other, absl::StrCat(path, "/"));
  });
}

// Hashes what a layer holds: names, modes and ids of the entries, but of directories on the way to others' parts their
// remaining entries.
absl::Status HashEntries(const ObjectDatabase& objects, const git::ObjectId& tree, const std::string& directory,
                         const std::vector<std::string>& except, std::string& text) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, EntriesOf(objects, tree));
  for (const git::TreeEntry& entry : entries) {
    const std::string path = PathBelow(directory, entry.name);
    if (std::binary_search(except.begin(), except.end(), path)) continue;
    const bool shared = entry.mode == git::Mode::kDirectory && LeadsToOneOf(except, path);
    absl::StrAppend(&text, static_cast<std::uint32_t>(entry.mode), " ", entry.name, absl::string_view("\0", 1),
                    shared ? "(" : git::Hex(entry.id));
    if (!shared) continue;
    RISEML_RETURN_IF_ERROR(HashEntries(objects, entry.id, path, except, text));
    absl::StrAppend(&text, ")");
  }
  return absl::OkStatus();
}

std::string Sha256(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<std::string> IdOf(const ObjectDatabase& objects, const git::ObjectId& tree, const CodeLayer& layer) {
  std::string text = absl::StrCat(kFormat, "\n", layer.directory, absl::string_view("\0", 1));
  RISEML_RETURN_IF_ERROR(HashEntries(objects, tree, layer.directory, layer.except, text));
  return Sha256(text);
}

absl::Status AddEntries(const ObjectDatabase& objects, const git::ObjectId& tree, const std::string& directory,
                        const std::vector<std::string>& except, TarWriter& tar) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, EntriesOf(objects, tree));
  for (const git::TreeEntry& entry : entries) {
    const std::string path = PathBelow(directory, entry.name);
    if (absl::StartsWith(entry.name, ".wh."))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("the file ", git::Printable(path),
                                " cannot be part of an image, where names that begin with .wh. "
                                "mean deleted files; rename it, or exclude it in .risemlignore"));
    if (std::binary_search(except.begin(), except.end(), path)) continue;
    const std::string name = absl::StrCat(kCodeInImage, "/", path);
    if (entry.mode == git::Mode::kDirectory) {
      RISEML_RETURN_IF_ERROR(tar.AddDirectory(name));
      RISEML_RETURN_IF_ERROR(AddEntries(objects, entry.id, path, except, tar));
      continue;
    }
    RISEML_ASSIGN_OR_RETURN(const std::string content, objects.Read(git::ObjectKind::kBlob, entry.id));
    RISEML_RETURN_IF_ERROR(entry.mode == git::Mode::kSymlink
                               ? tar.AddLink(name, content)
                               : tar.AddFile(name, entry.mode == git::Mode::kExecutable, content));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<CodeLayer>> DivideCode(const ObjectDatabase& objects, const git::ObjectId& tree,
                                                  const CodeLayerOptions& options) {
  TreeMeter meter(objects);
  RISEML_ASSIGN_OR_RETURN(const Sized root, meter.Measure("", tree));
  std::vector<Sized> heavy;
  if (root.files >= options.divide_files || root.bytes >= options.divide_bytes) {
    std::vector<Sized> directories = {root};
    RISEML_RETURN_IF_ERROR(Descend(objects, meter, root.Weight(), directories));
    std::sort(directories.begin(), directories.end(),
              [](const Sized& a, const Sized& b) { return a.Weight() > b.Weight(); });
    for (const Sized& directory : directories)
      if (!directory.path.empty() && directory.files > 0 && static_cast<int>(heavy.size()) < options.most_layers - 1)
        heavy.push_back(directory);
    std::sort(heavy.begin(), heavy.end(), [](const Sized& a, const Sized& b) { return a.path < b.path; });
  }
  std::vector<CodeLayer> layers;
  CodeLayer rest{.directory = "", .files = root.files, .bytes = root.bytes};
  for (const Sized& part : heavy) {
    CodeLayer layer{.directory = part.path, .files = part.files, .bytes = part.bytes};
    RISEML_ASSIGN_OR_RETURN(layer.id, IdOf(objects, part.id, layer));
    layers.push_back(std::move(layer));
    rest.except.push_back(part.path);
    rest.files -= part.files;
    rest.bytes -= part.bytes;
  }
  RISEML_ASSIGN_OR_RETURN(rest.id, IdOf(objects, tree, rest));
  layers.push_back(std::move(rest));
  return layers;
}

absl::Status WriteCodeLayer(const ObjectDatabase& objects, const git::ObjectId& tree, const CodeLayer& layer,
                            const ByteSink& sink) {
  TarWriter tar({.modified = absl::FromUnixSeconds(kEntryTime), .group_writable = true}, sink);
  RISEML_RETURN_IF_ERROR(tar.AddDirectory(kCodeInImage));
  git::ObjectId id = tree;
  std::string path;
  for (const absl::string_view name : absl::StrSplit(layer.directory, '/', absl::SkipEmpty())) {
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, EntriesOf(objects, id));
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const git::TreeEntry& entry) {
      return entry.name == name && entry.mode == git::Mode::kDirectory;
    });
    path = PathBelow(path, std::string(name));
    if (found == entries.end()) return NotFound(absl::StrCat("directory ", git::Printable(path)));
    id = found->id;
    RISEML_RETURN_IF_ERROR(tar.AddDirectory(absl::StrCat(kCodeInImage, "/", path)));
  }
  RISEML_RETURN_IF_ERROR(AddEntries(objects, id, layer.directory, layer.except, tar));
  return tar.Finish();
}

}  // namespace riseml::gitsync
