// Delivers results from the spool of an attempt to api in order, each at least once; api removes repeats by sequence
// number.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/logtext/redact.h"

namespace riseml::agent {

// Reports results of the attempt; `sequence` grows with each call. May block for some seconds.
using ReportResults = std::function<absl::Status(const google::protobuf::Struct& results, std::int64_t sequence)>;

// True for permanent errors: api refuses the results.
bool IsRefusal(const absl::Status& status);

// Returns the results with hidden values in names and texts replaced by asterisks.
google::protobuf::Struct MaskResults(const logtext::Masker& masker, const google::protobuf::Struct& results);

// Used by one thread.
class ResultDelivery {
 public:
  // `delivered` is the number of lines of the spool that were delivered before.
  ResultDelivery(std::string spool_path, std::int64_t delivered, ReportResults report);

  // Delivers all complete lines in the spool, merged into as few calls as their size allows. A refusal of a line counts
  // as delivered and is logged. An error means: try again later.
  absl::Status Deliver();

  std::int64_t delivered() const { return delivered_; }

 private:
  absl::StatusOr<bool> NextBatch(google::protobuf::Struct& merged, std::int64_t& lines, std::int64_t& bytes);

  const std::string spool_path_;
  const ReportResults report_;
  std::int64_t delivered_;         // lines
  std::int64_t offset_ = -1;       // byte after those lines; -1: not known yet
  std::int64_t singly_until_ = 0;  // lines before this one are not merged
};

}  // namespace riseml::agent
