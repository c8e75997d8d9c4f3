// Any bytes as a log block from a shipper, and as a segment file on disk: refused or read, never trusted.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "riseml/v1/log.pb.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/loghandler/store/block.h"
#include "services/loghandler/store/segment.h"

namespace {

using riseml::v1::LogBlock;
namespace loghandler = riseml::loghandler;

void Require(bool holds) {
  if (!holds) std::abort();
}

void TryBlock(const std::string& bytes) {
  LogBlock block;
  if (!block.ParseFromString(bytes)) return;
  block.set_crc(riseml::Crc32c(block.data()));  // else nearly everything ends here
  if (!loghandler::CheckBlock(block).ok()) return;
  const auto decoded = loghandler::DecodeBlock(block);
  if (!decoded.ok() || block.coding() == LogBlock::GAP) return;
  Require(static_cast<std::int64_t>(decoded->size()) == block.raw_length());
  if (block.raw_length() < 2) return;
  const std::int64_t skip = block.raw_length() / 2;
  const auto rest = loghandler::TrimBlock(block, skip);
  Require(rest.ok() && loghandler::CheckBlock(*rest).ok());
  Require(*loghandler::DecodeBlock(*rest) == decoded->substr(skip));
}

// `bytes` after a sound header; if `sealed`, with their own footer position in a trailer.
void TrySegment(const std::string& bytes) {
  const riseml::UniqueFd fd(memfd_create("segment", MFD_CLOEXEC));
  Require(fd.valid() && riseml::WriteAll(fd.get(), loghandler::EncodeHeader({})).ok() &&
          riseml::WriteAll(fd.get(), bytes).ok());
  const auto index = loghandler::ReadIndex(fd.get(), "segment");
  Require(index.ok());
  for (const loghandler::BlockEntry& entry : index->entries) {
    const auto block = loghandler::ReadBlock(fd.get(), "segment", entry);
    Require(index->sealed || block.ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  TryBlock(bytes);
  TrySegment(bytes);
  return 0;
}
