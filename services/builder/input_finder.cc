#include "services/builder/input_finder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/builder/reads/packaging.h"
#include "services/builder/reads/shell_words.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {
namespace {

using internal::v1::CodeEntry;

constexpr std::size_t kMaxAsked = 2000;
constexpr std::size_t kMaxFound = 500;
constexpr std::size_t kPathsPerCall = 400;
constexpr std::size_t kMaxMembers = 200;
constexpr char kSpecName[] = "riseml.yml";

// Why a path is looked at.
enum class Role {
  kFile,         // is an input; a directory is one with everything in it
  kRequirement,  // as kFile, and its text may name further files
  kPerhaps,      // is an input only if it is a file
  kProject,      // a directory of which the files that packaging reads are inputs
  kPackaging,    // a packaging file of the project around it
  kMembers,      // a directory of projects
  kPackage,      // only its existence is an input
  kModule,       // if it exists, the whole project is an input
};

bool HasRequirements(absl::string_view path) {
  const absl::string_view name = BaseName(path);
  if (!absl::StrContains(name, ".")) return true;
  for (const char* suffix : {".txt", ".in", ".pip", ".lock", ".toml", ".yml", ".yaml", ".cfg", ".req", ".reqs"})
    if (absl::EndsWith(name, suffix)) return true;
  return false;
}

class Finder {
 public:
  explicit Finder(const ReadCode& read) : read_(read) {}

  absl::StatusOr<CodeInputs> Find(const StepReads& reads) {
    out_.everything_because = reads.everything_because;
    for (const std::string& path : reads.files) Add(path, Role::kFile);
    for (const std::string& path : reads.requirements) Add(path, Role::kRequirement);
    for (const std::string& path : reads.projects) Add(path, Role::kProject);
    for (const std::string& module : reads.modules)
      for (const char* form : {"", ".py"})
        for (const char* root : {"", "src/"})
          if (!module.empty()) Add(absl::StrCat(root, module, form), Role::kModule);
    while (!next_.empty() && out_.everything_because.empty()) RISEML_RETURN_IF_ERROR(Round());
    if (!out_.everything_because.empty()) RISEML_RETURN_IF_ERROR(TakeEverything());
    return std::move(out_);
  }

 private:
  void Add(const std::string& path, Role role) {
    if (seen_.emplace(path, role).second) next_.emplace_back(path, role);
    if (seen_.size() > kMaxAsked || out_.ids.size() > kMaxFound)
      Everything(absl::StrCat("they name more than ", kMaxFound, " files"));
  }
  void Everything(std::string why) {
    if (out_.everything_because.empty()) out_.everything_because = std::move(why);
  }

  absl::Status Round() {
    const std::vector<std::pair<std::string, Role>> asked = std::exchange(next_, {});
    std::set<std::string> paths;
    for (const auto& [path, role] : asked) paths.insert(path);
    const std::vector<std::string> all(paths.begin(), paths.end());
    for (std::size_t begin = 0; begin < all.size(); begin += kPathsPerCall) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), begin + kPathsPerCall));
      RISEML_ASSIGN_OR_RETURN(CodeEntries entries, read_(std::vector<std::string>(first, last)));
      for (auto& [path, entry] : entries) entries_.insert_or_assign(path, std::move(entry));
    }
    for (const auto& [path, role] : asked)
      if (const auto it = entries_.find(path); it != entries_.end()) Take(path, it->second, role);
    return absl::OkStatus();
  }

  void Take(const std::string& path, const CodeEntry& entry, Role role) {
    if (role == Role::kModule) return Everything(absl::StrCat("a step imports ", path));
    if (role == Role::kPackage) {
      out_.ids.try_emplace(path);  // its existence matters, not its content
      return;
    }
    if (entry.kind() == CodeEntry::LINK) {
      out_.ids[path] = entry.id();
      std::string target;
      if (Locate(path.substr(0, path.size() - BaseName(path).size()), entry.content(), &target)) Add(target, role);
      return;
    }
    if (entry.kind() == CodeEntry::DIRECTORY) return TakeDirectory(path, entry, role);
    out_.ids[path] = entry.id();
    if (role == Role::kPackaging || (role == Role::kRequirement && BaseName(path) == "pyproject.toml")) {
      TakePackaging(path, entry);
    } else if (role == Role::kRequirement && HasRequirements(path)) {
      if (entry.content_left_out()) return Everything(absl::StrCat(path, " is too large to be read"));
      AddNamed(NamedInRequirements(path, entry.content()));
    }
  }

  void TakeDirectory(const std::string& path, const CodeEntry& entry, Role role) {
    const std::string prefix = path.empty() ? "" : path + "/";
    if (role == Role::kFile || role == Role::kRequirement) {
      if (path.empty()) return Everything("a step reads or installs the whole project");
      out_.ids[prefix] = entry.id();
    } else if (role == Role::kProject) {
      out_.projects.insert(path);
      for (const std::string& name : PackagingFiles()) Add(prefix + name, Role::kPackaging);
      AddChildren(prefix, entry, Role::kPackage);
    } else if (role == Role::kMembers) {
      AddChildren(prefix, entry, Role::kProject);
    }
  }

  // Adds the subdirectories as projects, or their __init__.py to see which are packages.
  void AddChildren(const std::string& prefix, const CodeEntry& entry, Role role) {
    std::size_t count = 0;
    for (const auto& [name, child] : entry.children()) count += child.kind() == CodeEntry::DIRECTORY ? 1 : 0;
    if (entry.children_left_out() || count > kMaxMembers)
      return Everything(absl::StrCat(prefix.empty() ? "the project" : prefix, " holds too much to be looked at"));
    for (const auto& [name, child] : entry.children())
      if (child.kind() == CodeEntry::DIRECTORY)
        Add(absl::StrCat(prefix, name, role == Role::kPackage ? "/__init__.py" : ""), role);
  }

  void TakePackaging(const std::string& path, const CodeEntry& entry) {
    if (entry.content_left_out()) return Everything(absl::StrCat(path, " is too large to be read"));
    const std::string directory = path.substr(0, path.size() - BaseName(path).size());
    NamedThings named = NamedInPackaging(directory, BaseName(path), entry.content());
    if (!named.everything_because.empty() && directory.empty()) return Everything(named.everything_because);
    if (!named.everything_because.empty()) named.files.insert(directory.substr(0, directory.size() - 1));
    AddNamed(named);
  }

  void AddNamed(const NamedThings& named) {
    for (const std::string& path : named.requirements) Add(path, Role::kRequirement);
    for (const std::string& path : named.files) Add(path, Role::kFile);
    for (const std::string& path : named.perhaps) Add(path, Role::kPerhaps);
    for (const std::string& path : named.projects) Add(path, Role::kProject);
    for (const std::string& path : named.members) Add(path, Role::kMembers);
  }

  absl::Status TakeEverything() {
    out_.ids.clear();
    RISEML_ASSIGN_OR_RETURN(const CodeEntries entries, read_({""}));
    const auto root = entries.find("");
    if (root == entries.end()) return absl::OkStatus();
    if (root->second.children_left_out()) {
      out_.tree = root->second.id();
      return absl::OkStatus();
    }
    // Sorted, as a map of protobuf has no order.
    const std::map<std::string, CodeEntry> children(root->second.children().begin(), root->second.children().end());
    for (const auto& [name, child] : children)
      if (name != kSpecName) absl::StrAppend(&out_.tree, child.kind(), " ", child.id(), " ", name, "\n");
    return absl::OkStatus();
  }

  const ReadCode& read_;
  CodeInputs out_;
  CodeEntries entries_;
  std::set<std::pair<std::string, Role>> seen_;
  std::vector<std::pair<std::string, Role>> next_;
};

}  // namespace

absl::StatusOr<CodeInputs> FindInputs(const StepReads& reads, const ReadCode& read) { return Finder(read).Find(reads); }

}  // namespace riseml::builder
