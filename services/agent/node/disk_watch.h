// Looks after the disks of a node: says when one is nearly full, and ends the attempt that has most on it.
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
#include "services/agent/launch/launcher.h"
#include "services/agent/node/agent_metrics.h"
#include "services/agent/node/attempt_reconciler.h"
#include "services/agent/node/disk_guard.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// A thread of its own: files are counted while the workers of AttemptReconciler go on.
class DiskWatch {
 public:
  // What it works with; references outlive it.
  struct Parts {
    AttemptReconciler& reconciler;
    const Launcher& launcher;
    const AttemptTable& table;
    AgentMetrics& metrics;
    const Clock& clock;
    std::function<void(const v1::Node&)> tell;  // the node, with what is to be known of its disks
  };

  // Looks after the disks of these directories, which exist; those on one disk are looked at together.
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
  // What each attempt that has not ended has on a disk; with `shared`, also what jobs of its user share.
  std::vector<DiskUse> Uses(const Disk& disk, bool shared) const;
  void Tell() const;

  const v1::Node node_;
  const std::string name_;
  const Parts parts_;
  std::vector<Disk> disks_;
  std::jthread thread_;
};

}  // namespace riseml::agent
