#include "services/common/oci/manifest.h"

#include <sys/utsname.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/json.h"

namespace riseml::oci {
namespace {

constexpr std::size_t kMaxIndexEntries = 1'000;

bool IsIndexType(absl::string_view type) { return type == kOciIndex || type == kDockerIndex; }
bool IsManifestType(absl::string_view type) { return type == kOciManifest || type == kDockerManifest; }
bool IsDockerType(absl::string_view type) { return absl::StartsWith(type, "application/vnd.docker."); }

absl::StatusOr<Descriptor> ParseDescriptor(const nlohmann::json& json, absl::string_view name) {
  Descriptor descriptor{TextAt(json, "mediaType"), TextAt(json, "digest"), IntegerAt(json, "size").value_or(-1)};
  if (!IsDigest(descriptor.digest))
    return Error(Reason::kInvalidArgument, absl::StrCat(name, " has no valid sha256 digest"));
  if (descriptor.size < 0) return Error(Reason::kInvalidArgument, absl::StrCat(name, " has no valid size"));
  return descriptor;
}

absl::StatusOr<Manifest> ReadManifest(const nlohmann::json& json, absl::string_view type) {
  Manifest manifest;
  manifest.media_type = std::string(type);
  const nlohmann::json* config = ObjectAt(json, "config");
  if (config == nullptr) return Error(Reason::kInvalidArgument, "the manifest names no configuration");
  RISEML_ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(*config, "the configuration of the manifest"));
  if (manifest.config.media_type != (IsDockerType(type) ? kDockerConfig : kOciConfig))
    return Error(Reason::kUnsupported,
                 absl::StrCat("the manifest is not one of a container image: its configuration is a ",
                              manifest.config.media_type));
  if (manifest.config.size > kMaxDocumentBytes)
    return Error(Reason::kInvalidArgument, "the configuration of the image is larger than 4 MiB");
  const nlohmann::json* layers = ArrayAt(json, "layers");
  if (layers == nullptr) return Error(Reason::kInvalidArgument, "the manifest names no layers");
  if (layers->size() > kMaxLayers)
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("the image has ", layers->size(), " layers; Linux can stack ", kMaxLayers));
  for (const nlohmann::json& item : *layers) {
    const std::string name = absl::StrCat("layer ", manifest.layers.size() + 1);
    RISEML_ASSIGN_OR_RETURN(Descriptor layer, ParseDescriptor(item, name));
    if (absl::StrContains(layer.media_type, "nondistributable") || absl::StrContains(layer.media_type, "foreign"))
      return Error(
          Reason::kUnsupported,
          absl::StrCat(name, " is a foreign layer, which lies outside of the registry; use an image without one"));
    if (IsDockerType(layer.media_type) != IsDockerType(type))
      return Error(Reason::kInvalidArgument, absl::StrCat("OCI and Docker media types are mixed: ", name, " is a ",
                                                          layer.media_type, " in a ", type));
    manifest.layers.push_back(std::move(layer));
  }
  return manifest;
}

Platform ReadPlatform(const nlohmann::json& json) {
  return {TextAt(json, "os"), TextAt(json, "architecture"), TextAt(json, "variant")};
}

absl::StatusOr<Index> ReadIndex(const nlohmann::json& json, absl::string_view type) {
  Index index;
  index.media_type = std::string(type);
  const nlohmann::json* entries = ArrayAt(json, "manifests");
  if (entries == nullptr || entries->size() > kMaxIndexEntries)
    return Error(Reason::kInvalidArgument, "the index names no manifests, or more than 1,000");
  for (const nlohmann::json& item : *entries) {
    RISEML_ASSIGN_OR_RETURN(Descriptor manifest, ParseDescriptor(item, "a manifest of the index"));
    const nlohmann::json* platform = ObjectAt(item, "platform");
    index.entries.push_back(
        {std::move(manifest), platform == nullptr ? Platform{"", "", ""} : ReadPlatform(*platform)});
  }
  return index;
}

nlohmann::ordered_json Json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest}, {"size", descriptor.size}};
}

std::vector<std::string> TextsAt(const nlohmann::json& json, const char* key) {
  std::vector<std::string> texts;
  if (const nlohmann::json* items = ArrayAt(json, key))
    for (const nlohmann::json& item : *items)
      if (item.is_string()) texts.push_back(item.get<std::string>());
  return texts;
}

}  // namespace

Platform OwnPlatform() {
  utsname name{};
  uname(&name);
  const absl::string_view machine = name.machine;
  if (machine == "x86_64") return {.os = "linux", .architecture = "amd64", .variant = ""};
  if (machine == "aarch64") return {.os = "linux", .architecture = "arm64", .variant = "v8"};
  return {.os = "linux", .architecture = std::string(machine), .variant = ""};
}

std::string ToString(const Platform& platform) {
  return absl::StrCat(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/", platform.variant);
}

absl::StatusOr<std::variant<Manifest, Index>> ParseManifest(absl::string_view content_type, absl::string_view json) {
  const std::optional<nlohmann::json> document = ParseObject(json);
  if (!document) return Error(Reason::kInvalidArgument, "the manifest is not a JSON object");
  const std::string own_type = TextAt(*document, "mediaType");
  const std::string type(content_type.substr(0, content_type.find(';')));
  if (!own_type.empty() && own_type != type)
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("the manifest says it is a ", own_type, ", the registry that it is a ", type));
  if (IsIndexType(type)) return ReadIndex(*document, type);
  if (IsManifestType(type)) return ReadManifest(*document, type);
  return Error(Reason::kUnsupported, absl::StrCat("'", type, "' is not a manifest of an OCI or Docker image"));
}

std::string ToJson(const Manifest& manifest) {
  nlohmann::ordered_json json = {
      {"schemaVersion", 2}, {"mediaType", manifest.media_type}, {"config", Json(manifest.config)}};
  json["layers"] = nlohmann::ordered_json::array();
  for (const Descriptor& layer : manifest.layers) json["layers"].push_back(Json(layer));
  return json.dump();
}

absl::StatusOr<Descriptor> SelectPlatform(const Index& index, const Platform& wanted) {
  std::vector<std::string> others;
  for (const Index::Entry& entry : index.entries) {
    const bool variant_fits =
        entry.platform.variant.empty() || wanted.variant.empty() || entry.platform.variant == wanted.variant;
    if (entry.platform.os == wanted.os && entry.platform.architecture == wanted.architecture && variant_fits)
      return entry.manifest;
    if (entry.platform.os != "unknown" && !entry.platform.os.empty()) others.push_back(ToString(entry.platform));
  }
  return Error(Reason::kNotFound, absl::StrCat("the image does not exist for ", ToString(wanted), ", only for ",
                                               others.empty() ? "none that is named" : absl::StrJoin(others, ", ")));
}

absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json) {
  const std::optional<nlohmann::json> document = ParseObject(json);
  const nlohmann::json* root_fs = document ? ObjectAt(*document, "rootfs") : nullptr;
  if (root_fs == nullptr || ArrayAt(*root_fs, "diff_ids") == nullptr)
    return Error(Reason::kInvalidArgument, "the configuration of the image is not one: it has no rootfs.diff_ids");
  ImageConfig config;
  config.platform = ReadPlatform(*document);
  config.diff_ids = TextsAt(*root_fs, "diff_ids");
  if (const nlohmann::json* run = ObjectAt(*document, "config")) {
    config.environment = TextsAt(*run, "Env");
    config.user = TextAt(*run, "User");
    config.working_dir = TextAt(*run, "WorkingDir");
    config.entrypoint = TextsAt(*run, "Entrypoint");
    config.command = TextsAt(*run, "Cmd");
  }
  return config;
}

}  // namespace riseml::oci
