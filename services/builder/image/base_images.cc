#include "services/builder/image/base_images.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/stop_after.h"
#include "services/common/oci/append.h"

namespace riseml::builder {
namespace {

constexpr std::size_t kMaxClients = 100;
// A user waits for the answer: a registry that is down is reported soon.
constexpr int kTries = 3;
constexpr absl::Duration kLongestPause = absl::Seconds(3);

absl::Status Explain(const absl::Status& status, const oci::ImageReference& reference, bool has_credential) {
  const std::string image = reference.ToString();
  if (absl::IsNotFound(status))
    return WithMessage(status, absl::StrCat("image ", image, " not found: ", status.message()));
  if (absl::IsUnauthenticated(status))  // not kept, since it would blame the user's API key
    return absl::FailedPreconditionError(absl::StrCat(
        "image ", image,
        has_credential
            ? absl::StrCat(": ", reference.registry, " refuses the stored user and password")
            : absl::StrCat(" does not exist, or ", reference.registry, " wants a user and a password for it"),
        " (", status.message(), "); store the right ones: riseml registry login ", reference.registry));
  const auto said = [&status](absl::string_view part) { return absl::StrContains(status.message(), part); };
  const absl::string_view advice =
      said("Could not resolve host") ? "check the name"
      : said("wrong version number")
          ? "it seems to have no TLS; an administrator can allow that (RISEML_REGISTRIES_WITHOUT_TLS)"
          : "try again later";
  if (absl::IsUnavailable(status))  // not kept, since clients would try again at once
    return absl::FailedPreconditionError(absl::StrCat("image ", image, ": ", status.message(), "; ", advice));
  return While(absl::StrCat("image ", image), status);
}

}  // namespace

BaseImages::BaseImages(oci::HttpTransport& http, const Clock& clock, RegistryPolicy policy, oci::Platform platform,
                       oci::Registry* own, absl::Duration longest_search)
    : http_(http),
      clock_(clock),
      policy_(std::move(policy)),
      platform_(std::move(platform)),
      own_(own),
      longest_search_(longest_search) {}

absl::StatusOr<std::shared_ptr<oci::Registry>> BaseImages::Connect(const std::string& host,
                                                                   const oci::Credential* credential) {
  if (own_ != nullptr && host == own_->host()) return std::shared_ptr<oci::Registry>(std::shared_ptr<void>(), own_);
  if (!policy_.allowed.empty() && !policy_.allowed.contains(host))
    return Error(Reason::kPermissionDenied,
                 absl::StrCat("images of ", host, " are not allowed here, only those of ",
                              absl::StrJoin(policy_.allowed, ", "), "; an administrator can add the registry"));
  oci::RegistryOptions options{
      .host = host, .plain_http = policy_.without_tls.contains(host), .tries = kTries, .longest_pause = kLongestPause};
  if (const auto realms = policy_.realms.find(host); realms != policy_.realms.end())
    options.realm_hosts = realms->second;
  if (credential != nullptr) {
    options.credential = *credential;
    return std::make_shared<oci::Registry>(http_, clock_, std::move(options));
  }
  MutexLock lock(mu_);
  if (const auto known = anonymous_.find(host); known != anonymous_.end()) return known->second;
  if (anonymous_.size() >= kMaxClients) anonymous_.clear();
  return anonymous_[host] = std::make_shared<oci::Registry>(http_, clock_, std::move(options));
}

absl::StatusOr<BaseImage> BaseImages::Resolve(absl::string_view name, const oci::Credential* credential,
                                              const std::stop_token& stop) {
  RISEML_ASSIGN_OR_RETURN(oci::ImageReference reference, oci::ParseImageReference(name));
  RISEML_ASSIGN_OR_RETURN(const std::shared_ptr<oci::Registry> registry, Connect(reference.registry, credential));
  const StopAfter limit(longest_search_, stop);
  const absl::StatusOr<oci::Image> image =
      oci::ReadImage(*registry, reference.repository, reference.Target(), platform_, limit.token());
  if (absl::IsCancelled(image.status()) && limit.expired())
    return absl::FailedPreconditionError(absl::StrCat("image ", reference.ToString(), ": ", reference.registry,
                                                      " is too slow, it was called for ",
                                                      absl::FormatDuration(longest_search_), "; try again later"));
  if (registry.get() == own_ && absl::IsUnavailable(image.status()))
    return While(absl::StrCat("image ", reference.ToString()), image.status());
  if (!image.ok()) return Explain(image.status(), reference, credential != nullptr);
  BaseImage base{.layers = image->manifest.layers.size()};
  for (const oci::Descriptor& layer : image->manifest.layers) base.bytes += layer.size;
  reference.digest = image->descriptor.digest;
  base.reference = std::move(reference);
  return base;
}

}  // namespace riseml::builder
