// Decides the next step for an attempt: one table over what api has recorded and what the node reports.
#pragma once

#include <iterator>

namespace riseml::scheduler {

// The attempt as api has it.
enum class Recorded { kStarting, kRunning };
// The attempt as its node has it.
enum class OnNode {
  kNotHeard,  // the node is not connected, or has not listed its attempts yet; and nothing is known from before
  kUnknown,   // the node has listed its attempts, and this one is not among them
  kGone,      // the node is silent for too long, or has vanished
  kPreparing,
  kRunning,
  kEnded,
};
enum class Step {
  kNothing,
  kStart,          // ask the node to start it
  kStop,           // ask the node to stop it
  kReportStarted,  // tell api that it runs
  kReportEnd,      // tell api how it ended
  kReportLost,     // tell api that its node has lost it
};

struct StepRow {
  Recorded recorded;
  OnNode on_node;
  Step step;
  Step when_stopped;  // by a kill or an eviction
};

// An attempt that api believes to be starting and the node does not know is started (again), as the request may never
// have arrived. If it is to be stopped, the Stop makes the node refuse a start that is still on its way. An end is
// reported as it was, even after a kill or an eviction. An attempt on a node that is not heard is left alone, as it may
// be running. Once the node is gone, the attempt is lost.
inline constexpr StepRow kSteps[] = {
    {Recorded::kStarting, OnNode::kNotHeard, Step::kNothing, Step::kNothing},
    {Recorded::kStarting, OnNode::kUnknown, Step::kStart, Step::kStop},
    {Recorded::kStarting, OnNode::kGone, Step::kReportLost, Step::kReportLost},
    {Recorded::kStarting, OnNode::kPreparing, Step::kNothing, Step::kStop},
    {Recorded::kStarting, OnNode::kRunning, Step::kReportStarted, Step::kReportStarted},
    {Recorded::kStarting, OnNode::kEnded, Step::kReportEnd, Step::kReportEnd},
    {Recorded::kRunning, OnNode::kNotHeard, Step::kNothing, Step::kNothing},
    {Recorded::kRunning, OnNode::kUnknown, Step::kReportLost, Step::kReportLost},
    {Recorded::kRunning, OnNode::kGone, Step::kReportLost, Step::kReportLost},
    {Recorded::kRunning, OnNode::kPreparing, Step::kNothing, Step::kStop},
    {Recorded::kRunning, OnNode::kRunning, Step::kNothing, Step::kStop},
    {Recorded::kRunning, OnNode::kEnded, Step::kReportEnd, Step::kReportEnd},
};
static_assert(std::size(kSteps) == 2 * 6, "one row for each pair");

constexpr Step NextStep(Recorded recorded, OnNode on_node, bool stop) {
  for (const StepRow& row : kSteps)
    if (row.recorded == recorded && row.on_node == on_node) return stop ? row.when_stopped : row.step;
  return Step::kNothing;
}

}  // namespace riseml::scheduler
