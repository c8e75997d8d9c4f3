// StreamOwners of log handlers that share the partitions of a topic.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/follow/stream_owners.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

// Thread-safe. The owner of a stream is that of the partition of its job.
class PartitionOwners final : public StreamOwners {
 public:
  // `partition_of` returns the partition of a job.
  explicit PartitionOwners(std::function<int(absl::string_view job_uid)> partition_of)
      : partition_of_(std::move(partition_of)) {}

  std::string OwnerOf(const StreamId& id) const override {
    const int partition = partition_of_(id.job_uid);
    MutexLock lock(mu_);
    if (mine_.contains(partition)) return "";
    const auto it = others_.find(partition);
    return it == others_.end() ? "" : it->second;
  }
  bool Owns(const StreamId& id) const override {
    const int partition = partition_of_(id.job_uid);
    MutexLock lock(mu_);
    return mine_.contains(partition);
  }
  int PartitionOf(const StreamId& id) const { return partition_of_(id.job_uid); }

  // Sets the partitions of this process.
  void SetMine(std::set<int> partitions) {
    MutexLock lock(mu_);
    mine_ = std::move(partitions);
  }
  // Sets the addresses of the owners of other partitions.
  void SetOthers(std::map<int, std::string> addresses) {
    MutexLock lock(mu_);
    others_ = std::move(addresses);
  }

 private:
  const std::function<int(absl::string_view)> partition_of_;
  mutable Mutex mu_;
  std::set<int> mine_ ABSL_GUARDED_BY(mu_);
  std::map<int, std::string> others_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::loghandler
