// The keys of every object of the schema, and the advice for a key that is none of them.
#pragma once

#include <cstddef>
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
extern const KnownObject kTensorFlowObject;
extern const KnownObject kDistributedObject;
extern const KnownObject kMasterObject;
extern const KnownObject kReplicasObject;
extern const KnownObject kHorovodObject;
extern const KnownObject kHorovodWorkersObject;

// What to write instead of `key`, which is no key of `object`: a legacy form's successor, the object it belongs to, the
// nearest key, or else all of them.
std::string UnknownKeyAdvice(const KnownObject& object, absl::string_view key);

// Edit distance of two names without regard to case, '-' and '_'. Compares at most 40 characters of each.
std::size_t NameDistance(absl::string_view a, absl::string_view b);

}  // namespace riseml::spec
