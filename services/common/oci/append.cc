#include "services/common/oci/append.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/json.h"

namespace riseml::oci {
namespace {

bool IsDocker(absl::string_view type) { return absl::StartsWith(type, "application/vnd.docker."); }

// Returns the object `key` of `parent`; makes it if it is absent or null.
nlohmann::json& Section(nlohmann::json& parent, const char* key) {
  nlohmann::json& section = parent[key];
  if (!section.is_object()) section = nlohmann::json::object();
  return section;
}

void SetVariable(nlohmann::json& variables, const std::string& name, const std::string& value) {
  const std::string prefix = absl::StrCat(name, "=");
  for (nlohmann::json& item : variables)
    if (item.is_string() && absl::StartsWith(item.get_ref<const std::string&>(), prefix)) {
      item = absl::StrCat(prefix, value);
      return;
    }
  variables.push_back(absl::StrCat(prefix, value));
}

void Apply(const ImageChanges& changes, nlohmann::json& config) {
  nlohmann::json& run = Section(config, "config");
  if (!changes.working_dir.empty()) run["WorkingDir"] = changes.working_dir;
  if (!changes.environment.empty()) {
    nlohmann::json& variables = run["Env"];
    if (!variables.is_array()) variables = nlohmann::json::array();
    for (const auto& [name, value] : changes.environment) SetVariable(variables, name, value);
  }
  if (!changes.labels.empty()) {
    nlohmann::json& labels = Section(run, "Labels");
    for (const auto& [name, value] : changes.labels) labels[name] = value;
  }
}

void AddHistory(const ImageChanges& changes, std::size_t layers, nlohmann::json& config) {
  nlohmann::json& history = config["history"];
  if (!history.is_array()) history = nlohmann::json::array();
  const std::string created = TextAt(config, "created");
  for (std::size_t i = 0; i < layers; ++i) {
    nlohmann::json entry = {{"created_by", changes.created_by}};
    if (!created.empty()) entry["created"] = created;
    history.push_back(std::move(entry));
  }
}

}  // namespace

absl::StatusOr<Image> AppendLayers(const Image& base, const std::vector<Layer>& layers, const ImageChanges& changes) {
  const auto wrong = [](absl::string_view why) { return Error(Reason::kInvalidArgument, why); };
  std::optional<nlohmann::json> config = ParseObject(base.config_bytes);
  nlohmann::json* root_fs = config ? &Section(*config, "rootfs") : nullptr;
  if (root_fs == nullptr || ArrayAt(*root_fs, "diff_ids") == nullptr)
    return wrong("the configuration of the base image has no rootfs.diff_ids");
  nlohmann::json& diff_ids = (*root_fs)["diff_ids"];
  if (diff_ids.size() != base.manifest.layers.size())
    return wrong(absl::StrCat("the base image has ", base.manifest.layers.size(),
                              " layers, but its configuration names ", diff_ids.size()));
  if (base.manifest.layers.size() + layers.size() > kMaxLayers)
    return wrong(absl::StrCat("the base image has ", base.manifest.layers.size(), " layers; with ", layers.size(),
                              " more it has over ", kMaxLayers,
                              ", which Linux cannot stack. Use a base image with fewer layers"));

  Image image{.manifest = base.manifest};
  for (const Layer& layer : layers) {
    if (IsDocker(layer.descriptor.media_type) != IsDocker(base.manifest.media_type))
      return wrong("a layer has the media type of the other kind of image: OCI and Docker media types cannot be mixed");
    image.manifest.layers.push_back(layer.descriptor);
    diff_ids.push_back(layer.diff_id);
  }
  Apply(changes, *config);
  AddHistory(changes, layers.size(), *config);
  image.config_bytes = config->dump();
  image.manifest.config.digest = DigestOf(image.config_bytes);
  image.manifest.config.size = static_cast<std::int64_t>(image.config_bytes.size());
  image.manifest_bytes = ToJson(image.manifest);
  image.descriptor = {image.manifest.media_type, DigestOf(image.manifest_bytes),
                      static_cast<std::int64_t>(image.manifest_bytes.size())};
  return image;
}

absl::StatusOr<Image> ReadImage(Registry& registry, const std::string& repository, const std::string& reference,
                                const Platform& platform, const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(StoredManifest stored, registry.GetManifest(repository, reference, stop));
  RISEML_ASSIGN_OR_RETURN(auto document, ParseManifest(stored.descriptor.media_type, stored.bytes));
  if (const Index* index = std::get_if<Index>(&document)) {
    RISEML_ASSIGN_OR_RETURN(const Descriptor entry, SelectPlatform(*index, platform));
    RISEML_ASSIGN_OR_RETURN(stored, registry.GetManifest(repository, entry.digest, stop));
    RISEML_ASSIGN_OR_RETURN(document, ParseManifest(stored.descriptor.media_type, stored.bytes));
  }
  if (!std::holds_alternative<Manifest>(document))
    return Error(Reason::kUnsupported, absl::StrCat(repository, ":", reference, " is an index of indexes"));
  Image image{std::move(stored.descriptor), std::get<Manifest>(std::move(document)), std::move(stored.bytes), ""};
  RISEML_ASSIGN_OR_RETURN(image.config_bytes, registry.GetBlob(repository, image.manifest.config, stop));
  RISEML_ASSIGN_OR_RETURN(const ImageConfig config, ParseImageConfig(image.config_bytes));
  if (config.platform.os != platform.os || config.platform.architecture != platform.architecture)
    return Error(Reason::kNotFound,
                 absl::StrCat("the image exists for ", ToString(config.platform), ", not for ", ToString(platform)));
  return image;
}

absl::StatusOr<Descriptor> WriteImage(Registry& registry, const std::string& repository, const std::string& tag,
                                      const Image& image, const std::stop_token& stop) {
  const std::string& config = image.manifest.config.digest;
  RISEML_ASSIGN_OR_RETURN(const bool there, registry.HasBlob(repository, config, stop));
  if (!there) RISEML_RETURN_IF_ERROR(registry.PutBlob(repository, config, SourceOf(image.config_bytes), stop));
  return registry.PutManifest(repository, tag, image.manifest.media_type, image.manifest_bytes, stop);
}

}  // namespace riseml::oci
