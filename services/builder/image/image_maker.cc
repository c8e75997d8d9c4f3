#include "services/builder/image/image_maker.h"

#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/copy.h"
#include "services/common/oci/digest.h"

namespace riseml::builder {
namespace {

constexpr std::size_t kKnownRevisions = 1'000;
constexpr std::size_t kKnownBases = 100;  // up to 8 MiB each, some KiB as a rule
constexpr std::size_t kKnownLayers = 10'000;
// Version of how images are made. It changes when equal parts give another image.
constexpr absl::string_view kFormat = "code image 1";
constexpr std::size_t kTagDigits = 40;

// Docker's media types have none for zstd.
oci::Compression CompressionFor(absl::string_view manifest_type) {
  return absl::StartsWith(manifest_type, "application/vnd.docker.") ? oci::Compression::kGzip : oci::Compression::kZstd;
}

// Tag of an image: a digest of what it consists of.
std::string TagOf(const ImageRequest& request, const std::vector<internal::v1::CodeLayer>& layers) {
  std::string text = absl::StrCat(kFormat, "\n", request.base_digest, "\n");
  for (const internal::v1::CodeLayer& layer : layers) absl::StrAppend(&text, layer.id(), "\n");
  return absl::StrCat("code-", oci::DigestOf(text).substr(sizeof("sha256:") - 1, kTagDigits));
}

}  // namespace

ImageMaker::ImageMaker(oci::Registry& registry, CodeLayers& code, std::string spool_directory)
    : registry_(registry),
      code_(code),
      spool_directory_(std::move(spool_directory)),
      revisions_(kKnownRevisions),
      bases_(kKnownBases),
      layers_(kKnownLayers) {}

absl::StatusOr<oci::Descriptor> ImageMaker::Make(const ImageRequest& request, const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(const Layers parts, LayersOf(request.code));
  const std::string tag = TagOf(request, parts);
  absl::StatusOr<oci::Descriptor> present = registry_.FindManifest(request.repository, tag, stop);
  if (present.ok() || !absl::IsNotFound(present.status())) return present;

  RISEML_ASSIGN_OR_RETURN(const oci::Image base, BaseOf(request, stop));
  RISEML_ASSIGN_OR_RETURN(const std::vector<oci::Layer> layers,
                          PutLayers(request, parts, base.manifest.media_type, stop));
  RISEML_ASSIGN_OR_RETURN(
      const oci::Image image,
      oci::AppendLayers(base, layers, {.working_dir = "/code", .created_by = "riseml: code of the project"}));
  const oci::RepositoryAt from{registry_, request.base_repository}, to{registry_, request.repository};
  RISEML_RETURN_IF_ERROR(oci::CopyLayers(base.manifest, from, to, {.spool_directory = spool_directory_}, stop));
  return oci::WriteImage(registry_, request.repository, tag, image, stop);
}

absl::StatusOr<ImageMaker::Layers> ImageMaker::LayersOf(const CodeRevision& revision) {
  const std::string key = absl::StrCat(revision.project_uid, "/", revision.commit);
  if (std::optional<Layers> known = revisions_.Find(key)) return *std::move(known);
  RISEML_ASSIGN_OR_RETURN(Layers layers, code_.List(revision));
  revisions_.Remember(key, layers);
  return layers;
}

absl::StatusOr<oci::Image> ImageMaker::BaseOf(const ImageRequest& request, const std::stop_token& stop) {
  const std::string key = absl::StrCat(request.base_repository, "@", request.base_digest);
  if (std::optional<oci::Image> known = bases_.Find(key)) return *std::move(known);
  RISEML_ASSIGN_OR_RETURN(oci::Image base, oci::ReadImage(registry_, request.base_repository, request.base_digest,
                                                          oci::OwnPlatform(), stop));
  bases_.Remember(key, base);
  return base;
}

absl::StatusOr<std::vector<oci::Layer>> ImageMaker::PutLayers(const ImageRequest& request, const Layers& parts,
                                                              const std::string& manifest_type,
                                                              const std::stop_token& stop) {
  std::vector<absl::StatusOr<oci::Layer>> results(parts.size(), oci::Layer());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < parts.size(); ++i)
      threads.emplace_back([&, i] { results[i] = PutLayer(request, parts[i], manifest_type, stop); });
  }
  std::vector<oci::Layer> layers;
  for (absl::StatusOr<oci::Layer>& result : results) {
    RISEML_ASSIGN_OR_RETURN(oci::Layer layer, std::move(result));
    layers.push_back(std::move(layer));
  }
  return layers;
}

absl::StatusOr<oci::Layer> ImageMaker::PutLayer(const ImageRequest& request, const internal::v1::CodeLayer& part,
                                                const std::string& manifest_type, const std::stop_token& stop) {
  const oci::Compression compression = CompressionFor(manifest_type);
  RISEML_ASSIGN_OR_RETURN(const std::string type, oci::LayerType(manifest_type, compression));
  const std::string key = absl::StrCat(part.id(), " ", type);
  if (std::optional<oci::Layer> known = layers_.Find(key)) {
    RISEML_ASSIGN_OR_RETURN(const bool there, registry_.HasBlob(request.repository, known->descriptor.digest, stop));
    if (there) return *std::move(known);
  }
  RISEML_ASSIGN_OR_RETURN(const std::unique_ptr<oci::LayerWriter> writer,
                          oci::LayerWriter::Create(spool_directory_, compression));
  const oci::BlobSink sink = [&writer](absl::string_view bytes) { return writer->Write(bytes); };
  RISEML_RETURN_IF_ERROR(code_.Read(request.code, part, sink, stop));
  RISEML_ASSIGN_OR_RETURN(const oci::Layer layer, writer->Finish(type));
  RISEML_ASSIGN_OR_RETURN(const bool there, registry_.HasBlob(request.repository, layer.descriptor.digest, stop));
  if (!there)
    RISEML_RETURN_IF_ERROR(registry_.PutBlob(request.repository, layer.descriptor.digest, writer->Content(), stop));
  layers_.Remember(key, layer);
  return layer;
}

}  // namespace riseml::builder
