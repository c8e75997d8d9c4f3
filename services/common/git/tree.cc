#include "services/common/git/tree.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/utf8.h"

namespace riseml::git {
namespace {

constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxLinkBytes = 4000;

absl::string_view ModeText(Mode mode) {
  switch (mode) {
    case Mode::kDirectory:
      return "40000";
    case Mode::kFile:
      return "100644";
    case Mode::kExecutable:
      return "100755";
    case Mode::kSymlink:
      return "120000";
  }
  return "";
}

absl::StatusOr<Mode> ParseMode(absl::string_view text) {
  for (const Mode mode : {Mode::kFile, Mode::kDirectory, Mode::kExecutable, Mode::kSymlink})
    if (text == ModeText(mode)) return mode;
  return Error(Reason::kInvalidArgument,
               absl::StrCat("mode ", Printable(text.substr(0, 16)), " is not one of 100644, 100755, 120000 and 40000"));
}

// Without characters that HFS+ ignores in names; from git's `next_hfs_char`.
std::string WithoutIgnored(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"\u200c", ""},
                                    {"\u200d", ""},
                                    {"\u200e", ""},
                                    {"\u200f", ""},
                                    {"\u202a", ""},
                                    {"\u202b", ""},
                                    {"\u202c", ""},
                                    {"\u202d", ""},
                                    {"\u202e", ""},
                                    {"\u206a", ""},
                                    {"\u206b", ""},
                                    {"\u206c", ""},
                                    {"\u206d", ""},
                                    {"\u206e", ""},
                                    {"\u206f", ""},
                                    {"\ufeff", ""}});
}

// ".git" with what HFS+ ignores in it or NTFS behind it, and its short name: git refuses to check these out everywhere.
bool LooksLikeDotGit(absl::string_view given) {
  const std::string plain = WithoutIgnored(given);
  const absl::string_view name = plain;
  for (const absl::string_view stem : {".git", "git~1"}) {
    if (!absl::StartsWithIgnoreCase(name, stem)) continue;
    absl::string_view rest = name.substr(stem.size());
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '.')) rest.remove_prefix(1);
    if (rest.empty() || rest[0] == ':' || rest[0] == '\\') return true;
  }
  return false;
}

}  // namespace

bool TreeOrder(const TreeEntry& a, const TreeEntry& b) {
  const std::size_t common = std::min(a.name.size(), b.name.size());
  const int order = a.name.compare(0, common, b.name, 0, common);
  if (order != 0) return order < 0;
  const auto next = [common](const TreeEntry& entry) -> unsigned char {
    if (entry.name.size() > common) return static_cast<unsigned char>(entry.name[common]);
    return entry.mode == Mode::kDirectory ? '/' : '\0';
  };
  return next(a) < next(b);
}

std::string PrintTree(std::vector<TreeEntry>& entries) {
  std::sort(entries.begin(), entries.end(), TreeOrder);
  std::string out;
  for (const TreeEntry& entry : entries)
    absl::StrAppend(&out, ModeText(entry.mode), " ", entry.name, absl::string_view("\0", 1), Raw(entry.id));
  return out;
}

absl::StatusOr<std::vector<TreeEntry>> ParseTree(absl::string_view content) {
  std::vector<TreeEntry> entries;
  while (!content.empty()) {
    const std::size_t space = content.find(' ');
    const std::size_t end = content.find('\0');
    if (space == content.npos || end == content.npos || space > end || content.size() - end - 1 < 20)
      return Error(Reason::kInvalidArgument, "the tree ends in the middle of an entry");
    TreeEntry entry;
    RISEML_ASSIGN_OR_RETURN(entry.mode, ParseMode(content.substr(0, space)));
    const absl::string_view name = content.substr(space + 1, end - space - 1);
    RISEML_RETURN_IF_ERROR(CheckEntryName(name));
    entry.name = std::string(name);
    entry.id = *FromRaw(content.substr(end + 1, 20));
    content.remove_prefix(end + 21);
    if (!entries.empty() && !TreeOrder(entries.back(), entry))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("entry ", Printable(name), " is out of order or there twice"));
    entries.push_back(std::move(entry));
  }
  // A file and a directory of one name do not lie next to each other in git's order.
  absl::flat_hash_set<absl::string_view> names;
  for (const TreeEntry& entry : entries)
    if (!names.insert(entry.name).second)
      return Error(Reason::kInvalidArgument, absl::StrCat("entry ", Printable(entry.name), " is there twice"));
  return entries;
}

absl::Status CheckEntryName(absl::string_view name) {
  const auto refuse = [name](absl::string_view why) {
    return Error(Reason::kInvalidArgument, absl::StrCat("file name ", Printable(name.substr(0, 300)), " ", why));
  };
  if (name.empty()) return Error(Reason::kInvalidArgument, "a file name is empty");
  if (name.size() > kMaxNameBytes) return refuse("is longer than 255 bytes");
  if (name == "." || name == "..") return refuse("is not allowed");
  if (absl::StrContains(name, '/') || absl::StrContains(name, absl::string_view("\0", 1)))
    return refuse("holds a slash or NUL");
  if (LooksLikeDotGit(name)) return refuse("stands for git's own directory");
  if (!IsValidUtf8(name)) return refuse("is not valid UTF-8; rename the file or ignore it");
  return absl::OkStatus();
}

absl::Status CheckLinkTarget(absl::string_view target) {
  if (target.empty()) return Error(Reason::kInvalidArgument, "the link has no target");
  if (target.size() > kMaxLinkBytes)
    return Error(Reason::kInvalidArgument, "the link's target is longer than 4,000 bytes");
  if (absl::StrContains(target, absl::string_view("\0", 1)))
    return Error(Reason::kInvalidArgument, "the link's target holds a NUL");
  return absl::OkStatus();
}

std::string Printable(absl::string_view text) {
  return IsValidUtf8(text) ? absl::Utf8SafeCHexEscape(text) : absl::CHexEscape(text);
}

}  // namespace riseml::git
