#include "services/supervisor/install/settings.h"

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "services/common/base/byte_size.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/reference.h"

namespace riseml::supervisor {
namespace {

using Registries = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::int64_t kMostLimit = 1'000'000;
constexpr absl::Duration kMostBuildTime = absl::Hours(24);

std::string ValueOf(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::Status Refuse(const char* name, absl::string_view what, absl::string_view text) {
  return Error(Reason::kInvalidArgument, absl::StrCat(name, " must be ", what, ", not ", text));
}

absl::Status TakeNumber(const char* name, std::int64_t* limit) {
  const std::string text = ValueOf(name);
  if (text.empty()) return absl::OkStatus();
  std::int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < -1 || value == 0 || value > kMostLimit)
    return Refuse(name, "a whole number of 1 or more, or -1 for no limit", text);
  *limit = value;
  return absl::OkStatus();
}

absl::Status TakeSize(const char* name, std::int64_t* limit) {
  const std::string text = ValueOf(name);
  if (text.empty()) return absl::OkStatus();
  const std::optional<std::int64_t> value = text == "-1" ? -1 : ReadSize(text);
  if (!value || *value == 0) return Refuse(name, "a size such as 500G or 2T, or -1 for no limit", text);
  *limit = *value;
  return absl::OkStatus();
}

absl::Status TakeTime(const char* name, std::int64_t* seconds) {
  const std::string text = ValueOf(name);
  if (text.empty()) return absl::OkStatus();
  absl::Duration value;
  if (!absl::ParseDuration(text, &value) || value < absl::Seconds(1) || value > kMostBuildTime)
    return Refuse(name, "a time between 1s and 24h, such as 90m or 6h", text);
  *seconds = absl::ToInt64Seconds(value);
  return absl::OkStatus();
}

absl::Status TakeNetwork(const char* name, bool* without) {
  const std::string text = ValueOf(name);
  if (text.empty()) return absl::OkStatus();
  if (text != "on" && text != "off") return Refuse(name, "on or off", text);
  *without = text == "off";
  return absl::OkStatus();
}

// A registry is written as in the names of images, in which "team" alone would be a directory of docker.io.
bool IsRegistry(absl::string_view text) {
  const absl::StatusOr<oci::ImageReference> image = oci::ParseImageReference(absl::StrCat(text, "/some/image"));
  return image.ok() && image->registry == text && image->repository == "some/image";
}

absl::Status TakeRegistries(const char* name, Registries* registries) {
  const std::string text = ValueOf(name);
  if (text.empty()) return absl::OkStatus();
  Registries given;
  if (text != "-")
    for (const absl::string_view part : absl::StrSplit(text, ',')) {
      const absl::string_view registry = absl::StripAsciiWhitespace(part);
      if (!IsRegistry(registry))
        return Refuse(name, "registries as images name them, such as ghcr.io,registry.lan:5000, or - for none",
                      registry.empty() ? text : registry);
      *given.Add() = std::string(registry);
    }
  *registries = std::move(given);
  return absl::OkStatus();
}

// Jobs that are processes have no images.
absl::Status RefuseWithoutContainers() {
  for (const char* name : {"RISEML_ALLOWED_REGISTRIES", "RISEML_PRIVATE_REGISTRIES", "RISEML_REGISTRIES_WITHOUT_TLS",
                           "RISEML_BUILD_NETWORK"})
    if (!ValueOf(name).empty())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(name, " is about images, and jobs are processes here; add --runtime podman"));
  return absl::OkStatus();
}

}  // namespace

absl::Status TakeSettings(config::v1::SupervisorState* state) {
  if (!state->podman()) RISEML_RETURN_IF_ERROR(RefuseWithoutContainers());
  config::v1::SupervisorState changed = *state;
  std::int64_t days = state->environments_max_days(), gigabytes = state->environments_max_gigabytes();
  std::int64_t experiments = state->user_max_experiments(), user_bytes = state->user_max_bytes();
  std::int64_t build_bytes = state->build_max_bytes(), build_seconds = state->build_max_seconds();
  bool without_network = state->steps_without_network();
  RISEML_RETURN_IF_ERROR(TakeNumber("RISEML_ENVIRONMENTS_MAX_DAYS", &days));
  RISEML_RETURN_IF_ERROR(TakeNumber("RISEML_ENVIRONMENTS_MAX_GB", &gigabytes));
  RISEML_RETURN_IF_ERROR(TakeNumber("RISEML_USER_MAX_EXPERIMENTS", &experiments));
  RISEML_RETURN_IF_ERROR(TakeSize("RISEML_USER_MAX_BYTES", &user_bytes));
  RISEML_RETURN_IF_ERROR(TakeSize("RISEML_BUILD_MAX_BYTES", &build_bytes));
  RISEML_RETURN_IF_ERROR(TakeTime("RISEML_BUILD_MAX_TIME", &build_seconds));
  RISEML_RETURN_IF_ERROR(TakeNetwork("RISEML_BUILD_NETWORK", &without_network));
  RISEML_RETURN_IF_ERROR(TakeRegistries("RISEML_ALLOWED_REGISTRIES", changed.mutable_allowed_registries()));
  RISEML_RETURN_IF_ERROR(TakeRegistries("RISEML_PRIVATE_REGISTRIES", changed.mutable_private_registries()));
  RISEML_RETURN_IF_ERROR(TakeRegistries("RISEML_REGISTRIES_WITHOUT_TLS", changed.mutable_registries_without_tls()));
  changed.set_environments_max_days(days);
  changed.set_environments_max_gigabytes(gigabytes);
  changed.set_user_max_experiments(experiments);
  changed.set_user_max_bytes(user_bytes);
  changed.set_build_max_bytes(build_bytes);
  changed.set_build_max_seconds(build_seconds);
  changed.set_steps_without_network(without_network);
  *state = std::move(changed);
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
