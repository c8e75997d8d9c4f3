#include "services/gitsync/code_layers.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/git/tree.h"
#include "services/gitsync/tree_reader.h"

namespace riseml::gitsync {
namespace {

// Format of the archives. It is part of the ids: change it when equal trees no longer give the bytes they gave.
constexpr absl::string_view kFormat = "code layer 1";
constexpr std::int64_t kEntryBytes = 4'096;  // what a file costs besides its content
constexpr int kMaxDescents = 16;
constexpr std::int64_t kHeavyPart = 8;  // a directory with an eighth of the weight has a layer of its own

struct Sized {
  std::string path;
  git::ObjectId id;
  std::int64_t files = 0, bytes = 0;
  std::int64_t Weight() const { return bytes + files * kEntryBytes; }
};

// Adds files and bytes below a tree. A tree that occurs often is measured once.
class TreeMeter {
 public:
  explicit TreeMeter(const ObjectDatabase& objects) : objects_(objects) {}

  absl::StatusOr<Sized> Measure(const std::string& path, const git::ObjectId& tree) {
    if (const auto known = known_.find(tree); known != known_.end())
      return Sized{path, tree, known->second.files, known->second.bytes};
    Sized sum{path, tree};
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects_, tree));
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
    RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, parent.id));
    std::vector<Sized> children;
    for (const git::TreeEntry& entry : entries) {
      if (entry.mode != git::Mode::kDirectory) continue;
      RISEML_ASSIGN_OR_RETURN(Sized child, meter.Measure(PathBelow(parent.path, entry.name), entry.id));
      children.push_back(std::move(child));
    }
    if (children.empty()) return absl::OkStatus();
    directories.erase(heaviest);
    directories.insert(directories.end(), children.begin(), children.end());
  }
  return absl::OkStatus();
}

// True if one of `paths` is `path` or lies below it.
bool LeadsToOneOf(const std::vector<std::string>& paths, const std::string& path) {
  return std::any_of(paths.begin(), paths.end(), [&path](const std::string& other) {
    return other == path || absl::StartsWith(other, absl::StrCat(path, "/"));
  });
}

// Appends what the layer of the root holds: names, modes and ids of the entries; of a directory with parts in other
// layers its remaining entries.
absl::Status HashEntries(const ObjectDatabase& objects, const git::ObjectId& tree, const std::string& directory,
                         const std::vector<std::string>& except, std::string& text) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<git::TreeEntry> entries, ReadTree(objects, tree));
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

std::string Sha256Hex(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

absl::StatusOr<std::string> IdOf(const ObjectDatabase& objects, const git::ObjectId& tree, const CodeLayer& layer) {
  std::string text = absl::StrCat(kFormat, "\n");
  if (layer.directories.empty()) RISEML_RETURN_IF_ERROR(HashEntries(objects, tree, "", layer.except, text));
  const auto pass = [](const std::string&) { return absl::OkStatus(); };
  for (const std::string& directory : layer.directories) {
    RISEML_ASSIGN_OR_RETURN(const git::ObjectId id, FindDirectory(objects, tree, directory, pass));
    absl::StrAppend(&text, directory, absl::string_view("\0", 1), git::Hex(id));
  }
  return Sha256Hex(text);
}

// Returns the group of each directory, 0 to `groups`, where `groups` means the layer of the root.
std::vector<int> GroupsOf(const std::vector<Sized>& directories, std::int64_t total, int groups) {
  std::vector<std::size_t> order(directories.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const std::int64_t heavier = directories[a].Weight() - directories[b].Weight();
    return heavier != 0 ? heavier > 0 : directories[a].path < directories[b].path;
  });
  std::vector<int> group(directories.size(), groups);
  int used = 0;
  for (const std::size_t i : order) {
    if (used < groups && directories[i].Weight() * kHeavyPart >= total) {
      group[i] = used++;
      continue;
    }
    // None of those that follow is heavy: the other groups, with the root's, are for them.
    const git::ObjectId hash = git::HashObject(git::ObjectKind::kBlob, directories[i].path);
    group[i] = used + hash.bytes[0] % (groups - used + 1);
  }
  return group;
}

}  // namespace

absl::StatusOr<std::vector<CodeLayer>> DivideCode(const ObjectDatabase& objects, const git::ObjectId& tree,
                                                  const CodeLayerOptions& options) {
  TreeMeter meter(objects);
  RISEML_ASSIGN_OR_RETURN(const Sized root, meter.Measure("", tree));
  std::vector<Sized> directories;
  if (root.files >= options.divide_files || root.bytes >= options.divide_bytes) {
    directories = {root};
    RISEML_RETURN_IF_ERROR(Descend(objects, meter, root.Weight(), directories));
    std::erase_if(directories, [](const Sized& directory) { return directory.path.empty() || directory.files == 0; });
    std::sort(directories.begin(), directories.end(), [](const Sized& a, const Sized& b) { return a.path < b.path; });
  }
  const int groups = options.most_layers - 1;
  const std::vector<int> group = GroupsOf(directories, root.Weight(), groups);
  std::vector<CodeLayer> layers(static_cast<std::size_t>(groups));
  CodeLayer rest{.files = root.files, .bytes = root.bytes};
  for (std::size_t i = 0; i < directories.size(); ++i) {
    if (group[i] == groups) continue;
    CodeLayer& layer = layers[static_cast<std::size_t>(group[i])];
    layer.directories.push_back(directories[i].path);
    layer.files += directories[i].files;
    layer.bytes += directories[i].bytes;
    rest.except.push_back(directories[i].path);
    rest.files -= directories[i].files;
    rest.bytes -= directories[i].bytes;
  }
  std::erase_if(layers, [](const CodeLayer& layer) { return layer.directories.empty(); });
  std::sort(layers.begin(), layers.end(),
            [](const CodeLayer& a, const CodeLayer& b) { return a.directories < b.directories; });
  layers.push_back(std::move(rest));
  for (CodeLayer& layer : layers) {
    RISEML_ASSIGN_OR_RETURN(layer.id, IdOf(objects, tree, layer));
  }
  return layers;
}

}  // namespace riseml::gitsync
