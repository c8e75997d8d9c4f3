// Helpers for tests of the log handler: temporary directories, blocks, reading a stream back.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zstd.h>

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>

#include "riseml/v1/log.pb.h"
#include "services/common/base/crc32c.h"
#include "services/loghandler/store/block.h"
#include "services/loghandler/store/store.h"

namespace riseml::loghandler {

class TempDir {
 public:
  TempDir() {
    char pattern[] = "/tmp/riseml-log-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline v1::LogBlock ZstdBlock(std::int64_t first_offset, absl::string_view bytes) {
  v1::LogBlock block = PlainBlock(first_offset, bytes);
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 1));
  block.set_coding(v1::LogBlock::ZSTD);
  block.set_crc(Crc32c(packed));
  block.set_data(std::move(packed));
  return block;
}

inline v1::LogBlock GapBlock(std::int64_t first_offset, std::int64_t length) {
  v1::LogBlock block;
  block.set_first_offset(first_offset);
  block.set_raw_length(length);
  block.set_coding(v1::LogBlock::GAP);
  return block;
}

// Bytes of every value, about one newline in forty.
inline std::string RandomLog(std::mt19937& random, std::size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = random() % 40 == 0 ? '\n' : static_cast<char>(random());
  return bytes;
}

// Everything durable of a stream from an offset on; gaps as '#'.
inline std::string ReadAll(Store& store, const Stream& stream, std::int64_t from = 0) {
  std::string all;
  while (true) {
    const absl::StatusOr<Chunk> chunk = store.Read(stream, from);
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    if (!chunk.ok() || chunk->empty()) return all;
    EXPECT_EQ(chunk->first_offset, from);
    EXPECT_LE(chunk->data.size(), static_cast<std::size_t>(kMaxRawLength));
    all += chunk->data + std::string(chunk->gap_length, '#');
    from = chunk->end();
  }
}

}  // namespace riseml::loghandler
