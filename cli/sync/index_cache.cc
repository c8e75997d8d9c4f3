#include "cli/sync/index_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

// Format: magic line, time; for each file: length of path, path, stamp, id; then a digest of all of it.
constexpr absl::string_view kMagic = "riseml index 1\n";
constexpr std::int64_t kMaxCacheBytes = 512 << 20;
constexpr std::size_t kIdBytes = 20;
constexpr std::int64_t kRacyNs = 2'000'000'000;

template <class T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Reads values one after the other. Past the end of the input values are zero and ok() is false.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T Value() {
    T value{};
    const absl::string_view raw = Bytes(sizeof value);
    if (ok_) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  absl::string_view Bytes(std::size_t size) {
    ok_ = ok_ && size <= bytes_.size();
    if (!ok_) return {};
    const absl::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  absl::string_view bytes_;
  bool ok_ = true;
};

}  // namespace

IndexCache IndexCache::Load(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadFile(path, kMaxCacheBytes);
  IndexCache cache;
  if (!content.ok() || content->size() < kMagic.size() + kIdBytes) return cache;
  absl::string_view body = *content;
  const absl::string_view digest = body.substr(body.size() - kIdBytes);
  body.remove_suffix(kIdBytes);
  if (git::Raw(git::HashObject(git::ObjectKind::kBlob, body)) != digest || !absl::ConsumePrefix(&body, kMagic))
    return cache;
  Reader reader(body);
  cache.looked_at_ns_ = reader.Value<std::int64_t>();
  while (reader.ok() && !reader.at_end()) {
    const std::string name(reader.Bytes(reader.Value<std::uint32_t>()));
    Entry entry;
    entry.stamp.modified_ns = reader.Value<std::int64_t>();
    entry.stamp.changed_ns = reader.Value<std::int64_t>();
    entry.stamp.bytes = reader.Value<std::int64_t>();
    entry.stamp.inode = reader.Value<std::uint64_t>();
    entry.stamp.mode = reader.Value<std::uint32_t>();
    const std::optional<git::ObjectId> id = git::FromRaw(reader.Bytes(kIdBytes));
    if (!id) return IndexCache();
    entry.id = *id;
    cache.entries_.emplace(name, entry);
  }
  return cache;
}

std::optional<git::ObjectId> IndexCache::Find(absl::string_view path, const FileStamp& stamp) const {
  const auto it = entries_.find(path);
  if (it == entries_.end() || it->second.stamp != stamp) return std::nullopt;
  if (std::max(stamp.modified_ns, stamp.changed_ns) > looked_at_ns_ - kRacyNs) return std::nullopt;
  return it->second.id;
}

void IndexCache::Put(absl::string_view path, const FileStamp& stamp, const git::ObjectId& id) {
  entries_[path] = Entry{stamp, id};
}

absl::Status IndexCache::Save(const std::string& path, absl::Time looked_at) const {
  std::string out(kMagic);
  Append(out, absl::ToUnixNanos(looked_at));
  for (const auto& [name, entry] : entries_) {
    Append(out, static_cast<std::uint32_t>(name.size()));
    out += name;
    Append(out, entry.stamp.modified_ns);
    Append(out, entry.stamp.changed_ns);
    Append(out, entry.stamp.bytes);
    Append(out, entry.stamp.inode);
    Append(out, entry.stamp.mode);
    absl::StrAppend(&out, git::Raw(entry.id));
  }
  const git::ObjectId digest = git::HashObject(git::ObjectKind::kBlob, out);
  absl::StrAppend(&out, git::Raw(digest));
  RISEML_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path().string(), 0700));
  // Not WriteFileAtomically: a cache with a digest needs no fsync.
  const std::string temporary = absl::StrCat(path, ".tmp-", absl::BytesToHexString(RandomBytes(4)));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
  absl::Status status = While(absl::StrCat("write ", temporary), WriteAll(fd.get(), out));
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0)
    status = ErrnoError(errno, absl::StrCat("rename to ", path));
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

std::string DefaultCacheDirectory(const std::string& root) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string base;
  if (cache != nullptr && cache[0] == '/') {
    base = cache;
  } else if (home != nullptr && home[0] == '/') {
    base = absl::StrCat(home, "/.cache");
  } else {
    return "";
  }
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::weakly_canonical(root, error);
  const std::string path = error ? root : absolute.string();
  return absl::StrCat(base, "/riseml/", git::Hex(git::HashObject(git::ObjectKind::kBlob, path)));
}

}  // namespace riseml::sync
