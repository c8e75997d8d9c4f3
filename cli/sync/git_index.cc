#include "cli/sync/git_index.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kStatBytes = 40;  // times, device, inode, mode, owner, size
constexpr std::size_t kModeAt = 24;
constexpr std::uint32_t kTypeMask = 0170000;
constexpr std::uint32_t kGitlink = 0160000;
constexpr std::uint32_t kSparseDirectory = 0040000;
constexpr std::uint16_t kExtended = 0x4000;
constexpr std::uint16_t kNameMask = 0x0FFF;
constexpr std::size_t kMaxPathInIndex = 4096;
constexpr std::uint32_t kMaxBits = 100'000'000;

absl::Status DamagedIndex(absl::string_view what) {
  return Error(Reason::kInvalidArgument, absl::StrCat("git's index is damaged: ", what));
}

// Reads big-endian numbers and names; ok() is false from the first missing one on.
class IndexReader {
 public:
  explicit IndexReader(absl::string_view bytes) : bytes_(bytes) {}

  absl::string_view Take(std::size_t size) {
    ok_ = ok_ && size <= bytes_.size() - at_;
    if (!ok_) return {};
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  std::uint64_t Number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char c : Take(size)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  // git's offset encoding: 7 bits per byte, each continuation adds one.
  std::uint64_t Offset() {
    std::uint64_t c = Number(1);
    std::uint64_t value = c & 127;
    for (int i = 0; ok_ && (c & 128) != 0; ++i) {
      if (i == 8) ok_ = false;
      c = Number(1);
      value = ((value + 1) << 7) + (c & 127);
    }
    return value;
  }
  absl::string_view UntilNul() {
    const std::size_t end = bytes_.find('\0', at_);
    ok_ = ok_ && end != absl::string_view::npos;
    if (!ok_) return {};
    const absl::string_view text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }
  bool ok() const { return ok_; }
  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

 private:
  absl::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// Reads one path of the index; `previous` is the entry before it, whose prefix version 4 leaves out.
absl::Status ParseEntry(IndexReader& in, std::uint64_t version, std::size_t id_bytes, std::string& path,
                        std::uint32_t& mode) {
  const std::size_t start = in.at();
  const absl::string_view stat = in.Take(kStatBytes);
  in.Take(id_bytes);
  const auto flags = static_cast<std::uint16_t>(in.Number(2));
  if (version >= 3 && (flags & kExtended) != 0) in.Number(2);
  if (!in.ok()) return DamagedIndex("it ends in the middle of an entry");
  mode = static_cast<std::uint32_t>(IndexReader(stat.substr(kModeAt, 4)).Number(4));
  if (version == 4) {
    const std::uint64_t cut = in.Offset();
    if (cut > path.size()) return DamagedIndex("a name is cut by more than it has");
    path.resize(path.size() - cut);
    const absl::string_view rest = in.UntilNul();
    path.append(rest.data(), rest.size());
  } else {
    const std::size_t length = flags & kNameMask;
    const absl::string_view name = length < kNameMask ? in.Take(length) : in.UntilNul();
    path.assign(name.data(), name.size());
    // NULs up to a multiple of eight bytes, one at least; UntilNul has taken one.
    const std::size_t size =
        kStatBytes + id_bytes + 2 + (version >= 3 && (flags & kExtended) != 0 ? 2 : 0) + name.size();
    in.Take(start + (size / 8 + 1) * 8 - in.at());
  }
  if (!in.ok()) return DamagedIndex("it ends in the middle of a name");
  if (path.size() > kMaxPathInIndex) return DamagedIndex("a name is too long");
  return absl::OkStatus();
}

// Bits of an EWAH bitmap: runs of equal words, then literal words.
absl::StatusOr<std::vector<bool>> ReadBitmap(IndexReader& in) {
  const std::uint64_t bits = in.Number(4);
  std::uint64_t words = in.Number(4);
  if (!in.ok() || bits > kMaxBits || words > in.left() / 8) return DamagedIndex("a bitmap is too large");
  std::vector<bool> out(bits, false);
  std::uint64_t at = 0;
  while (words > 0) {
    const std::uint64_t marker = in.Number(8);
    --words;
    const std::uint64_t run = (marker >> 1 & 0xFFFFFFFF) * 64;
    const std::uint64_t literals = marker >> 33;
    if (literals > words || run > bits + 64 || at > bits + 64) return DamagedIndex("a bitmap does not fit");
    if ((marker & 1) != 0)
      for (std::uint64_t i = at; i < std::min(at + run, bits); ++i) out[i] = true;
    at += run;
    for (std::uint64_t i = 0; i < literals; ++i, at += 64) {
      const std::uint64_t word = in.Number(8);
      for (std::uint64_t bit = 0; bit < 64 && at + bit < bits; ++bit) out[at + bit] = (word >> bit & 1) != 0;
    }
    words -= literals;
  }
  in.Number(4);  // where the last marker lies
  if (!in.ok()) return DamagedIndex("it ends in the middle of a bitmap");
  return out;
}

absl::Status ReadExtensions(IndexReader& in, std::size_t id_bytes, GitIndex& index) {
  while (in.left() > id_bytes) {
    const std::string name(in.Take(4));
    const std::uint64_t size = in.Number(4);
    const absl::string_view content = in.Take(size);
    if (!in.ok()) return DamagedIndex("it ends in the middle of an extension");
    if (name == "link") {
      IndexReader link(content);
      index.base = absl::BytesToHexString(link.Take(id_bytes));
      if (!link.ok()) return DamagedIndex("it does not name its shared index");
      if (index.base.find_first_not_of('0') == std::string::npos) index.base.clear();
      if (link.left() > 0) {
        RISEML_ASSIGN_OR_RETURN(index.deleted, ReadBitmap(link));
      }
    } else if (name != "sdir" && !absl::ascii_isupper(static_cast<unsigned char>(name[0]))) {
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("git's index has an unknown extension ", absl::CHexEscape(name)));
    }
  }
  return absl::OkStatus();
}

void SortEachOnce(std::vector<std::string>& paths) {
  if (!std::is_sorted(paths.begin(), paths.end())) std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
}

void AddPath(const std::string& path, bool submodule, GitIndex& index) {
  if (path.empty()) return;  // replaces an entry of the shared index and keeps its name
  (submodule ? index.submodules : index.files).push_back(path);
}

}  // namespace

absl::StatusOr<GitIndex> ParseGitIndex(absl::string_view bytes, std::size_t id_bytes) {
  IndexReader in(bytes);
  if (in.Take(4) != "DIRC") return DamagedIndex("it does not begin with DIRC");
  const std::uint64_t version = in.Number(4);
  const std::uint64_t count = in.Number(4);
  if (!in.ok() || version < 2 || version > 4)
    return Error(Reason::kInvalidArgument, absl::StrCat("git's index has version ", version, ", which is not 2 to 4"));
  if (count > bytes.size() / (kStatBytes + id_bytes)) return DamagedIndex("it has fewer entries than it says");
  GitIndex index;
  index.entries.reserve(count);
  std::string path;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint32_t mode = 0;
    RISEML_RETURN_IF_ERROR(ParseEntry(in, version, id_bytes, path, mode));
    const bool submodule = (mode & kTypeMask) == kGitlink;
    index.entries.push_back(path);
    index.is_submodule.push_back(submodule);
    // A directory stands for files that a sparse checkout has not made.
    if ((mode & kTypeMask) != kSparseDirectory) AddPath(path, submodule, index);
  }
  RISEML_RETURN_IF_ERROR(ReadExtensions(in, id_bytes, index));
  SortEachOnce(index.files);
  SortEachOnce(index.submodules);
  return index;
}

void MergeSharedIndex(const GitIndex& base, GitIndex& index) {
  for (std::size_t i = 0; i < base.entries.size(); ++i)
    if (i >= index.deleted.size() || !index.deleted[i]) AddPath(base.entries[i], base.is_submodule[i], index);
  SortEachOnce(index.files);
  SortEachOnce(index.submodules);
}

}  // namespace riseml::sync
