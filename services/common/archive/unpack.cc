#include "services/common/archive/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

constexpr std::size_t kMaxDepth = 256;

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

absl::Status Refuse(absl::string_view name, absl::string_view why) {
  return Error(Reason::kInvalidArgument, absl::StrCat("code archive: ", name, ": ", why));
}

// Parts of a relative name; refuses what could lead elsewhere.
absl::StatusOr<std::vector<std::string>> Parts(absl::string_view name) {
  if (name.empty() || absl::StartsWith(name, "/")) return Refuse(name, "must be a relative name");
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(name, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") return Refuse(name, "must not contain \"..\"");
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxDepth) return Refuse(name, "is too deep");
  return parts;
}

// Opens (and makes) the directory of `parts` below `root`, one part at a time, never through a link.
absl::StatusOr<UniqueFd> OpenBelow(int root, const std::vector<std::string>& parts, std::size_t count) {
  UniqueFd at(fcntl(root, F_DUPFD_CLOEXEC, 0));
  for (std::size_t i = 0; i < count; ++i) {
    if (mkdirat(at.get(), parts[i].c_str(), 0755) != 0 && errno != EEXIST)
      return ErrnoError(errno, absl::StrCat("mkdir ", parts[i]));
    UniqueFd next(openat(at.get(), parts[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid() && (errno == ELOOP || errno == ENOTDIR))
      return Refuse(parts[i], "is a link or a file where a directory is needed");
    if (!next.valid()) return ErrnoError(errno, absl::StrCat("open ", parts[i]));
    at = std::move(next);
  }
  return at;
}

class Unpacker {
 public:
  Unpacker(const ChunkReader& read, UniqueFd root, const ArchiveLimits& limits)
      : read_(read), root_(std::move(root)), limits_(limits), archive_(archive_read_new()) {}

  absl::Status Run() {
    archive_read_support_format_tar(archive_.get());
    if (archive_read_open(archive_.get(), this, nullptr, &Unpacker::OnRead, nullptr) != ARCHIVE_OK) return ReadError();
    while (true) {
      archive_entry* entry = nullptr;
      const int code = archive_read_next_header(archive_.get(), &entry);
      if (code == ARCHIVE_EOF) return stream_error_;
      if (code != ARCHIVE_OK) return ReadError();
      if (++entries_ > limits_.entries)
        return Error(Reason::kLimitExceeded, absl::StrCat("the code has more than ", limits_.entries, " entries"));
      RISEML_RETURN_IF_ERROR(UnpackEntry(entry));
    }
  }

 private:
  static la_ssize_t OnRead(archive* a, void* self, const void** buffer) {
    auto* unpacker = static_cast<Unpacker*>(self);
    absl::StatusOr<std::string> chunk = unpacker->read_();
    if (!chunk.ok()) {
      unpacker->stream_error_ = chunk.status();
      archive_set_error(a, EIO, "the stream broke off");
      return -1;
    }
    unpacker->chunk_ = *std::move(chunk);
    *buffer = unpacker->chunk_.data();
    return static_cast<la_ssize_t>(unpacker->chunk_.size());
  }

  absl::Status ReadError() const {
    if (!stream_error_.ok()) return stream_error_;
    const char* text = archive_error_string(archive_.get());
    return Refuse("damaged", text == nullptr ? "unknown error" : text);
  }

  absl::Status UnpackEntry(archive_entry* entry) {
    const char* raw_name = archive_entry_pathname(entry);
    if (raw_name == nullptr) return Refuse("an entry", "has no usable name");
    const std::string name = raw_name;
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> parts, Parts(name));
    if (archive_entry_hardlink(entry) != nullptr) return Refuse(name, "hard links are not taken");
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) return OpenBelow(root_.get(), parts, parts.size()).status();
    if (parts.empty()) return Refuse(name, "must name a file");
    RISEML_ASSIGN_OR_RETURN(const UniqueFd parent, OpenBelow(root_.get(), parts, parts.size() - 1));
    if (type == AE_IFREG)
      return UnpackFile(parent.get(), parts.back(), name, (archive_entry_perm(entry) & 0100) != 0 ? 0755 : 0644);
    if (type != AE_IFLNK) return Refuse(name, "only files, directories and symbolic links are taken");
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || *target == '\0') return Refuse(name, "is a link without a target");
    if (symlinkat(target, parent.get(), parts.back().c_str()) != 0) return OnCreateError(name);
    return absl::OkStatus();
  }

  static absl::Status OnCreateError(const std::string& name) {
    return errno == EEXIST ? Refuse(name, "is there twice") : ErrnoError(errno, absl::StrCat("make ", name));
  }

  absl::Status UnpackFile(int parent, const std::string& last, const std::string& name, int mode) {
    const UniqueFd file(openat(parent, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file.valid()) return OnCreateError(name);
    if (fchmod(file.get(), mode) != 0) return ErrnoError(errno, absl::StrCat("chmod ", name));
    char buffer[65536];
    while (true) {
      const la_ssize_t n = archive_read_data(archive_.get(), buffer, sizeof buffer);
      if (n == 0) return absl::OkStatus();
      if (n < 0) return ReadError();
      if ((bytes_ += n) > limits_.bytes)
        return Error(Reason::kLimitExceeded, absl::StrCat("the code has more than ", limits_.bytes, " bytes"));
      RISEML_RETURN_IF_ERROR(While(absl::StrCat("write ", name), WriteAll(file.get(), absl::string_view(buffer, n))));
    }
  }

  const ChunkReader& read_;
  const UniqueFd root_;
  const ArchiveLimits limits_;
  std::unique_ptr<archive, FreeArchive> archive_;
  std::string chunk_;
  absl::Status stream_error_;
  std::int64_t entries_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace

absl::Status UnpackArchive(const ChunkReader& read, const std::string& directory, const ArchiveLimits& limits) {
  RISEML_ASSIGN_OR_RETURN(UniqueFd root, OpenFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Unpacker unpacker(read, std::move(root), limits);
  return unpacker.Run();
}

absl::StatusOr<std::string> MakeDirectoriesBelow(const std::string& root, const std::string& relative) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> parts, Parts(relative));
  if (parts.empty()) return Error(Reason::kInvalidArgument, "an output directory must have a name");
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(root, O_RDONLY | O_DIRECTORY));
  RISEML_RETURN_IF_ERROR(OpenBelow(fd.get(), parts, parts.size()).status());
  std::string path = root;
  for (const std::string& part : parts) absl::StrAppend(&path, "/", part);
  return path;
}

}  // namespace riseml
