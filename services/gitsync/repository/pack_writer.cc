#include "services/gitsync/repository/pack_writer.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/repository/git_handle.h"

namespace riseml::gitsync {
namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr int kPackFileMode = 0444;

int TypeOf(git::ObjectKind kind) {
  switch (kind) {
    case git::ObjectKind::kCommit:
      return 1;
    case git::ObjectKind::kTree:
      return 2;
    case git::ObjectKind::kBlob:
      return 3;
  }
  return 0;
}

// Prints an object's type and size as in a pack: four bits of the size, then seven per byte.
std::string ObjectHeader(git::ObjectKind kind, std::uint64_t bytes) {
  std::string out;
  unsigned byte = (TypeOf(kind) << 4) | (bytes & 15);
  for (bytes >>= 4; bytes != 0; bytes >>= 7) {
    out.push_back(static_cast<char>(byte | 0x80));
    byte = bytes & 0x7f;
  }
  out.push_back(static_cast<char>(byte));
  return out;
}

std::string PackHeader(std::uint32_t objects) {
  std::string out("PACK\0\0\0\2", 8);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(objects >> shift));
  return out;
}

// Passes a pack to the indexer and hashes it on the way.
class Indexing {
 public:
  explicit Indexing(git_indexer* indexer) : indexer_(indexer), sha1_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(sha1_.get(), EVP_sha1(), nullptr);
  }

  absl::Status Append(absl::string_view bytes) {
    EVP_DigestUpdate(sha1_.get(), bytes.data(), bytes.size());
    return AppendUnhashed(bytes);
  }

  absl::Status Commit() {
    unsigned char digest[20];
    EVP_DigestFinal_ex(sha1_.get(), digest, nullptr);
    RISEML_RETURN_IF_ERROR(AppendUnhashed({reinterpret_cast<const char*>(digest), sizeof digest}));
    const int code = git_indexer_commit(indexer_, &progress_);
    return code == 0 ? absl::OkStatus() : GitError(code, "index a pack");
  }

 private:
  absl::Status AppendUnhashed(absl::string_view bytes) {
    const int code = git_indexer_append(indexer_, bytes.data(), bytes.size(), &progress_);
    return code == 0 ? absl::OkStatus() : GitError(code, "write a pack");
  }

  git_indexer* indexer_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sha1_;
  git_indexer_progress progress_{};
};

}  // namespace

absl::StatusOr<std::unique_ptr<PackWriter>> PackWriter::Create(const std::string& directory) {
  RISEML_ASSIGN_OR_RETURN(UniqueFd spool, OpenFile(absl::StrCat(directory, "/spool"), O_RDWR | O_CREAT | O_EXCL, 0600));
  std::unique_ptr<PackWriter> writer(new PackWriter(directory, std::move(spool)));
  if (deflateInit(writer->deflate_.get(), Z_NO_COMPRESSION) != Z_OK)
    return absl::ResourceExhaustedError("start zlib: no memory");
  return writer;
}

PackWriter::PackWriter(std::string directory, UniqueFd spool)
    : directory_(std::move(directory)), spool_(std::move(spool)), deflate_(std::make_unique<z_stream_s>()) {}

PackWriter::~PackWriter() { deflateEnd(deflate_.get()); }

absl::Status PackWriter::Begin(git::ObjectKind kind, std::int64_t bytes) {
  hasher_.Start(kind, bytes);
  deflateReset(deflate_.get());
  absl::StrAppend(&buffer_, ObjectHeader(kind, static_cast<std::uint64_t>(bytes)));
  return absl::OkStatus();
}

absl::Status PackWriter::Append(absl::string_view piece) {
  hasher_.Update(piece);
  return Deflate(piece, false);
}

absl::StatusOr<git::ObjectId> PackWriter::End() {
  RISEML_RETURN_IF_ERROR(Deflate({}, true));
  ++objects_;
  return hasher_.Finish();
}

absl::StatusOr<git::ObjectId> PackWriter::Add(git::ObjectKind kind, absl::string_view content) {
  RISEML_RETURN_IF_ERROR(Begin(kind, static_cast<std::int64_t>(content.size())));
  RISEML_RETURN_IF_ERROR(Append(content));
  return End();
}

absl::Status PackWriter::Deflate(absl::string_view input, bool last) {
  // zlib does not write to its input.
  deflate_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  deflate_->avail_in = static_cast<uInt>(input.size());
  char out[64 * 1024];
  do {
    deflate_->next_out = reinterpret_cast<Bytef*>(out);
    deflate_->avail_out = sizeof out;
    deflate(deflate_.get(), last ? Z_FINISH : Z_NO_FLUSH);
    buffer_.append(out, sizeof out - deflate_->avail_out);
    if (buffer_.size() >= kBufferBytes) RISEML_RETURN_IF_ERROR(Flush());
  } while (deflate_->avail_out == 0 || deflate_->avail_in > 0);
  return absl::OkStatus();
}

absl::Status PackWriter::Flush() {
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("spool a push to ", directory_), WriteAll(spool_.get(), buffer_)));
  buffer_.clear();
  return absl::OkStatus();
}

absl::StatusOr<PackFiles> PackWriter::Finish() {
  RISEML_RETURN_IF_ERROR(Flush());
  if (lseek(spool_.get(), 0, SEEK_SET) != 0) return ErrnoError(errno, absl::StrCat("read the spool in ", directory_));
  git_indexer* raw = nullptr;
  if (const int code = git_indexer_new(&raw, directory_.c_str(), kPackFileMode, nullptr, nullptr); code != 0)
    return GitError(code, absl::StrCat("start a pack in ", directory_));
  const GitHandle<git_indexer> indexer(raw);
  Indexing indexing(raw);
  RISEML_RETURN_IF_ERROR(indexing.Append(PackHeader(objects_)));
  std::vector<char> block(kBufferBytes);
  while (true) {
    const ssize_t n = read(spool_.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read the spool in ", directory_));
    if (n == 0) break;
    RISEML_RETURN_IF_ERROR(indexing.Append({block.data(), static_cast<std::size_t>(n)}));
  }
  RISEML_RETURN_IF_ERROR(indexing.Commit());
  return PackFiles{absl::StrCat(directory_, "/pack-", git_indexer_name(raw))};
}

}  // namespace riseml::gitsync
