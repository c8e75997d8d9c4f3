#include "services/builder/image/environment_images.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/builder/environment/stored.h"
#include "services/builder/image/image_plan.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/append.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::builder {
namespace {

constexpr std::size_t kMostFacts = 10'000;
constexpr std::size_t kMostRepositories = 100'000;
constexpr std::size_t kMostTags = 100'000;
constexpr absl::string_view kRepository = "/environments";

// Tag of the image that replaces the one with the key `base`.
std::string NewestTag(absl::string_view base) { return absl::StrCat("newest-", base); }

bool IsOfEnvironments(absl::string_view repository) { return absl::EndsWith(repository, kRepository); }

absl::Time CreatedTime(const nlohmann::json& config) {
  absl::Time created;
  std::string error;
  const bool parsed = absl::ParseTime(absl::RFC3339_full, config.value("created", ""), &created, &error);
  return parsed ? created : absl::UnixEpoch();
}

std::string LabelOf(const nlohmann::json& config, const char* name) {
  const nlohmann::json labels =
      config.value("config", nlohmann::json::object()).value("Labels", nlohmann::json::object());
  return labels.is_object() ? labels.value(name, "") : "";
}

}  // namespace

EnvironmentImages::EnvironmentImages(oci::Registry& registry) : registry_(registry), facts_(kMostFacts) {}

std::string EnvironmentImages::RepositoryOf(absl::string_view owner_uid) {
  return absl::StrCat(owner_uid, kRepository);
}

absl::StatusOr<oci::Descriptor> EnvironmentImages::Find(const std::string& owner_uid, const std::string& key,
                                                        const std::stop_token& stop) {
  return registry_.FindManifest(RepositoryOf(owner_uid), key, stop);
}

absl::StatusOr<EnvironmentImages::Facts> EnvironmentImages::FactsOf(const std::string& repository,
                                                                    const std::string& digest) {
  if (std::optional<Facts> known = facts_.Find(digest)) return *std::move(known);
  RISEML_ASSIGN_OR_RETURN(const oci::Image image, oci::ReadImage(registry_, repository, digest, oci::OwnPlatform()));
  const nlohmann::json config = nlohmann::json::parse(image.config_bytes, nullptr, false);
  if (!config.is_object())
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("the configuration of ", repository, "@", digest, " is not a JSON object"));
  Facts facts{LabelOf(config, kKeyLabel), CreatedTime(config)};
  for (const oci::Descriptor& layer : image.manifest.layers) facts.bytes += layer.size;
  facts_.Remember(digest, facts);
  return facts;
}

absl::StatusOr<std::string> EnvironmentImages::NewestOf(const std::string& owner_uid, const std::string& base) {
  const std::string repository = RepositoryOf(owner_uid);
  const absl::StatusOr<oci::Descriptor> newest = registry_.FindManifest(repository, NewestTag(base));
  if (absl::IsNotFound(newest.status())) return base;
  RISEML_RETURN_IF_ERROR(newest.status());
  RISEML_ASSIGN_OR_RETURN(const Facts facts, FactsOf(repository, newest->digest));
  return IsKey(facts.key) ? facts.key : base;
}

absl::Status EnvironmentImages::SetNewest(const std::string& owner_uid, const std::string& base,
                                          const std::string& key) {
  const std::string repository = RepositoryOf(owner_uid);
  RISEML_ASSIGN_OR_RETURN(const oci::Descriptor image, registry_.FindManifest(repository, key));
  RISEML_ASSIGN_OR_RETURN(const Facts facts, FactsOf(repository, image.digest));
  for (const std::string& tag : {NewestTag(base), base}) {
    const absl::StatusOr<oci::Descriptor> present = registry_.FindManifest(repository, tag);
    if (absl::IsNotFound(present.status())) continue;
    RISEML_RETURN_IF_ERROR(present.status());
    if (present->digest == image.digest) return absl::OkStatus();
    RISEML_ASSIGN_OR_RETURN(const Facts older, FactsOf(repository, present->digest));
    if (older.created >= facts.created) return absl::OkStatus();
  }
  RISEML_ASSIGN_OR_RETURN(const oci::StoredManifest manifest, registry_.GetManifest(repository, image.digest));
  return registry_.PutManifest(repository, NewestTag(base), manifest.descriptor.media_type, manifest.bytes).status();
}

absl::StatusOr<std::vector<internal::v1::StoredEnvironment>> EnvironmentImages::List() {
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> repositories, registry_.ListRepositories(kMostRepositories));
  std::vector<internal::v1::StoredEnvironment> stored;
  for (const std::string& repository : repositories) {
    if (!IsOfEnvironments(repository)) continue;
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> tags, registry_.ListTags(repository, kMostTags));
    for (const std::string& key : tags) {
      if (!IsKey(key)) continue;
      const absl::StatusOr<oci::Descriptor> image = registry_.FindManifest(repository, key);
      if (absl::IsNotFound(image.status())) continue;
      RISEML_RETURN_IF_ERROR(image.status());
      const absl::StatusOr<Facts> facts = FactsOf(repository, image->digest);
      if (absl::IsInvalidArgument(facts.status())) {  // somebody has put another image in its place
        LogWarning("environment_unreadable", {{"key", key}, {"error", facts.status().message()}});
        continue;
      }
      RISEML_RETURN_IF_ERROR(facts.status());
      internal::v1::StoredEnvironment& one = stored.emplace_back();
      one.set_key(key);
      one.set_bytes(facts->bytes);
      one.set_complete(true);  // the manifest is sent last
      *one.mutable_change_time() = ToProtoTime(facts->created);
      one.set_digest(image->digest);
    }
  }
  std::ranges::sort(stored, {}, &internal::v1::StoredEnvironment::key);
  return stored;
}

absl::Status EnvironmentImages::Remove(const std::string& key) {
  if (!IsKey(key)) return Error(Reason::kInvalidArgument, "the key of an environment has 64 hex digits");
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> repositories, registry_.ListRepositories(kMostRepositories));
  for (const std::string& repository : repositories) {
    if (!IsOfEnvironments(repository)) continue;
    const absl::StatusOr<oci::Descriptor> image = registry_.FindManifest(repository, key);
    if (absl::IsNotFound(image.status())) continue;
    RISEML_RETURN_IF_ERROR(image.status());
    // Images of jobs go first: if this is broken off, the next call finds the environment again.
    const std::string owner = repository.substr(0, repository.size() - kRepository.size() + 1);
    for (const std::string& other : repositories)
      if (absl::StartsWith(other, owner) && other != repository) RISEML_RETURN_IF_ERROR(RemoveImagesOf(key, other));
    RISEML_RETURN_IF_ERROR(registry_.DeleteManifest(repository, image->digest));
  }
  return absl::OkStatus();
}

absl::Status EnvironmentImages::RemoveImagesOf(const std::string& key, const std::string& repository) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> tags, registry_.ListTags(repository, kMostTags));
  for (const std::string& tag : tags) {
    const absl::StatusOr<oci::Descriptor> image = registry_.FindManifest(repository, tag);
    if (absl::IsNotFound(image.status())) continue;
    RISEML_RETURN_IF_ERROR(image.status());
    // The label of the environment is that of the images made from it. What users have pushed has none, or is no image.
    const absl::StatusOr<Facts> facts = FactsOf(repository, image->digest);
    if (facts.ok() && facts->key == key) RISEML_RETURN_IF_ERROR(registry_.DeleteManifest(repository, image->digest));
    if (!facts.ok() && !absl::IsInvalidArgument(facts.status()) && !absl::IsNotFound(facts.status()))
      return facts.status();
  }
  return absl::OkStatus();
}

}  // namespace riseml::builder
