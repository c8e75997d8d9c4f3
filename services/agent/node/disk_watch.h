// Watches the disks of a node: reports a nearly full disk, and ends the attempt with the most bytes on it.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "riseml/v1/node.pb.h"
#include "services/agent/attempt/attempt_table.h"
#include "services/agent/disk/disk_guard.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/node/agent_metrics.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Has its own thread, so that counting files does not block the workers of AttemptReconciler.
class DiskWatch {
 public:
  // Collaborators; references must outlive the watch.
  struct Parts {
    AttemptReconciler& reconciler;
    const Launcher& launcher;
    const AttemptTable& table;
    AgentMetrics& metrics;
    const Clock& clock;
    std::function<void(const v1::Node&)> tell;  // gets the node with notes on its disks
  };

  // Watches the disks of `directories`, which must exist. Directories on the same disk are watched as one.
  DiskWatch(const v1::Node& node, const std::vector<std::string>& directories, Parts parts);

 private:
  struct Disk {
    std::string directory;
    dev_t device = 0;
    prometheus::Gauge* free = nullptr;
    DiskGuard guard;
    DiskSpace space = {};
    DiskPressure pressure = DiskPressure::kNone;
  };

  void Run(std::stop_token stop);
  void Look(Disk& disk);
  void NotePressure(Disk& disk, DiskPressure pressure);
  void AwaitEnd(Disk& disk) const;
  void EndOne(Disk& disk) const;
  void End(const Disk& disk, const DiskUse& use, bool since, bool shared) const;
  // Returns the use of a disk by each attempt that has not ended; with `shared`, including directories that the user's
  // jobs share.
  std::vector<DiskUse> Uses(const Disk& disk, bool shared) const;
  void Tell() const;

  const v1::Node node_;
  const std::string name_;
  const Parts parts_;
  std::vector<Disk> disks_;
  std::jthread thread_;
};

}  // namespace riseml::agent
