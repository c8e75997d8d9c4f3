// Tracks attempts that have ended without the end marker of their log, and since when. Pure.
#pragma once

#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/log_registry.pb.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// Not thread-safe. Holds the attempts whose log is not known to api as complete.
class EndTracker {
 public:
  // `grace`: how long after the end of its attempt, as api has recorded it, a log may still come. A restart of this
  // process does not extend that time.
  explicit EndTracker(absl::Duration grace) : grace_(grace) {}

  // Takes the current state of an attempt from api.
  void Update(const internal::v1::StreamInfo& info, absl::Time now);
  // Notes that the log of an attempt has been reported to api.
  void Reported(const StreamId& id);
  // Drops an attempt that api does not know any more.
  void Forget(const StreamId& id) { attempts_.erase(id); }

  // Attempts that have been over for longer than the grace and are not reported.
  std::vector<StreamId> Overdue(absl::Time now) const;
  bool IsOverdue(const StreamId& id, absl::Time now) const;
  // All attempts tracked.
  std::vector<StreamId> All() const;

 private:
  struct Attempt {
    std::optional<absl::Time> over_since;
    bool reported = false;
  };
  bool IsOverdue(const Attempt& attempt, absl::Time now) const;

  const absl::Duration grace_;
  absl::flat_hash_map<StreamId, Attempt> attempts_;
};

}  // namespace riseml::loghandler
