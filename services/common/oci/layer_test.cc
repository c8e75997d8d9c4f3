#include "services/common/oci/layer.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <string>

namespace riseml::oci {
namespace {

std::string Read(const BlobSource& source) {
  std::string all;
  while (static_cast<std::int64_t>(all.size()) < source.size) {
    const auto offset = static_cast<std::int64_t>(all.size());
    absl::StatusOr<std::string> bytes = source.read(offset, source.size - offset);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    all += *bytes;
  }
  return all;
}

std::string Unpacked(const std::string& blob, Compression compression, std::size_t size) {
  std::string out(size + 1, '\0');
  if (compression == Compression::kZstd) {
    const std::size_t got = ZSTD_decompress(out.data(), out.size(), blob.data(), blob.size());
    if (ZSTD_isError(got) == 0) {
      out.resize(got);
      return out;
    }
    // A stream does not say its size; it may be unpacked all the same.
  }
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(blob.data()));
  stream.avail_in = static_cast<uInt>(blob.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

class LayerTest : public ::testing::TestWithParam<Compression> {
 protected:
  static std::unique_ptr<LayerWriter> Make() {
    absl::StatusOr<std::unique_ptr<LayerWriter>> writer =
        LayerWriter::Create(std::filesystem::temp_directory_path().string(), GetParam());
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
};

TEST_P(LayerTest, IsNamedByTheDigestsOfItsTarAndItsBlob) {
  std::string tar;
  for (int i = 0; i < 200'000; ++i) tar += std::to_string(i * 7919 % 100'003);
  const std::unique_ptr<LayerWriter> writer = Make();
  for (std::size_t at = 0; at < tar.size(); at += 10'007)
    ASSERT_TRUE(writer->Write(absl::string_view(tar).substr(at, 10'007)).ok());
  const absl::StatusOr<Layer> layer = writer->Finish("type");
  ASSERT_TRUE(layer.ok()) << layer.status();
  const std::string blob = Read(writer->Content());
  EXPECT_EQ(layer->diff_id, DigestOf(tar));
  EXPECT_EQ(layer->descriptor, (Descriptor{"type", DigestOf(blob), static_cast<std::int64_t>(blob.size())}));
  EXPECT_LT(blob.size(), tar.size());
  EXPECT_EQ(Unpacked(blob, GetParam(), tar.size()), tar);
}

TEST_P(LayerTest, IsEqualForEqualTarsInOtherPieces) {
  const std::string tar(300'000, 'x');
  const std::unique_ptr<LayerWriter> one = Make(), two = Make();
  ASSERT_TRUE(one->Write(tar).ok());
  for (std::size_t at = 0; at < tar.size(); at += 999)
    ASSERT_TRUE(two->Write(absl::string_view(tar).substr(at, 999)).ok());
  EXPECT_EQ(one->Finish("type").value(), two->Finish("type").value());
}

TEST_P(LayerTest, MayBeEmpty) {
  const std::unique_ptr<LayerWriter> writer = Make();
  const absl::StatusOr<Layer> layer = writer->Finish("type");
  ASSERT_TRUE(layer.ok());
  EXPECT_EQ(layer->diff_id, DigestOf(""));
  EXPECT_EQ(Unpacked(Read(writer->Content()), GetParam(), 0), "");
}

INSTANTIATE_TEST_SUITE_P(Compressions, LayerTest, ::testing::Values(Compression::kGzip, Compression::kZstd),
                         [](const auto& info) { return info.param == Compression::kGzip ? "Gzip" : "Zstd"; });

TEST(LayerType, NeverMixesOciAndDocker) {
  EXPECT_EQ(LayerType(kOciManifest, Compression::kZstd).value(), kOciLayerZstd);
  EXPECT_EQ(LayerType(kOciManifest, Compression::kGzip).value(), kOciLayerGzip);
  EXPECT_EQ(LayerType(kDockerManifest, Compression::kGzip).value(), kDockerLayerGzip);
  EXPECT_FALSE(LayerType(kDockerManifest, Compression::kZstd).ok());
}

}  // namespace
}  // namespace riseml::oci
