// The keys of every object of the schema, and the advice for a key that is none of them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace riseml::spec {

struct KnownObject {
  absl::string_view path;  // as in error messages, "train: resources:"
  absl::Span<const absl::string_view> keys;
};

extern const KnownObject kTopObject;
extern const KnownObject kTrainObject;
extern const KnownObject kResourcesObject;
extern const KnownObject kRetriesObject;
extern const KnownObject kTensorFlowObject;
extern const KnownObject kDistributedObject;
extern const KnownObject kMasterObject;
extern const KnownObject kReplicasObject;
extern const KnownObject kHorovodObject;
extern const KnownObject kHorovodWorkersObject;

// Returns advice for `key`, which is not a key of `object`: a legacy form's successor, the object it belongs to, the
// nearest key, or else all of them.
std::string UnknownKeyAdvice(const KnownObject& object, absl::string_view key);

}  // namespace riseml::spec
