// Parts of tests of images: code in memory, and images in a registry.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/builder/image/code_layers.h"
#include "services/common/archive/testing.h"
#include "services/common/base/status.h"
#include "services/common/oci/append.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/layer.h"
#include "services/common/oci/registry.h"

namespace riseml::builder {

inline std::string SpoolDirectory() { return std::filesystem::temp_directory_path().string(); }

// Code in memory: by commit, the content of a file in each layer.
class FakeCode final : public CodeLayers {
 public:
  std::map<std::string, std::vector<std::string>> commits;
  std::atomic<int> reads = 0;

  absl::StatusOr<std::vector<internal::v1::CodeLayer>> List(const CodeRevision& revision) override {
    if (!commits.contains(revision.commit)) return NotFound(absl::StrCat("commit ", revision.commit));
    std::vector<internal::v1::CodeLayer> layers;
    for (const std::string& content : commits[revision.commit]) {
      layers.emplace_back().set_id(oci::DigestOf(content).substr(7));
      layers.back().add_directories(content);
    }
    return layers;
  }
  absl::Status Read(const CodeRevision&, const internal::v1::CodeLayer& layer, const oci::BlobSink& sink,
                    const std::stop_token&) override {
    ++reads;
    return sink(MakeTar({{.name = "code/train.py", .content = layer.directories(0)}}));
  }
};

// Text of `size` bytes that does not compress.
inline std::string Noise(std::size_t size) {
  std::string noise;
  for (std::uint32_t i = 1; noise.size() < size; i = i * 1'664'525 + 1'013'904'223) noise += static_cast<char>(i >> 24);
  return noise;
}

// Content of an image with one layer.
struct TestImage {
  std::string content = Noise(1'000'000);  // of its only file
  std::string created;                     // RFC 3339; empty: not said
  std::map<std::string, std::string> labels;
};

// Puts an image with one layer into a registry.
inline oci::Descriptor PutImage(oci::Registry& registry, const std::string& repository, const std::string& tag,
                                const TestImage& content = {}) {
  const auto writer = oci::LayerWriter::Create(SpoolDirectory(), oci::Compression::kGzip).value();
  EXPECT_TRUE(writer->Write(MakeTar({{.name = "base", .content = content.content}})).ok());
  const oci::Layer layer = writer->Finish(std::string(oci::kOciLayerGzip)).value();
  EXPECT_TRUE(registry.PutBlob(repository, layer.descriptor.digest, writer->Content()).ok());
  nlohmann::json config = {{"os", "linux"},
                           {"architecture", oci::OwnPlatform().architecture},
                           {"rootfs", {{"type", "layers"}, {"diff_ids", {layer.diff_id}}}}};
  if (!content.created.empty()) config["created"] = content.created;
  if (!content.labels.empty()) config["config"]["Labels"] = content.labels;
  oci::Image image;
  image.config_bytes = config.dump();
  image.manifest = {std::string(oci::kOciManifest),
                    {std::string(oci::kOciConfig), oci::DigestOf(image.config_bytes),
                     static_cast<std::int64_t>(image.config_bytes.size())},
                    {layer.descriptor}};
  image.manifest_bytes = oci::ToJson(image.manifest);
  return oci::WriteImage(registry, repository, tag, image).value();
}

}  // namespace riseml::builder
