#include "services/agent/shell/stop_plan.h"

#include <signal.h>

#include <algorithm>

namespace riseml::agent {
namespace {

constexpr absl::Duration kAlone = absl::Milliseconds(300);  // time to end by itself after its predecessor
constexpr absl::Duration kBackground = absl::Seconds(1);    // time for a shell to end its background jobs itself

}  // namespace

struct StopPlan::View {
  const StopSnapshot& snapshot;
  const absl::Time now;
  std::multimap<pid_t, const ProcessStat*> children;

  std::vector<const ProcessStat*> ChildrenOf(pid_t parent) const {
    std::vector<const ProcessStat*> found;
    const auto [first, last] = children.equal_range(parent);
    for (auto it = first; it != last; ++it) found.push_back(it->second);
    return found;
  }
};

void StopPlan::Tell(const View& view, const ProcessStat& process) {
  ProcessState& state = StateOf(process);
  state.told = view.now;
  const ProcessDetail detail = view.snapshot.inspect(process);
  state.copied = detail.copy_of_parent ? detail.command : "";
  signals_.push_back({process.pid, SIGTERM});
  // A process that the job itself has stopped (SIGSTOP) would not handle SIGTERM either.
  if (state.halted || process.state == 'T') signals_.push_back({process.pid, SIGCONT});
  state.halted = false;
}

// A shell that has got SIGTERM handles its new children itself. Its background jobs get SIGTERM after a while.
void StopPlan::ApproachChildren(const View& view, const ProcessStat& shell) {
  if (view.now < StateOf(shell).told + kBackground) return;
  for (const ProcessStat* child : view.ChildrenOf(shell.pid))
    if (view.snapshot.inspect(*child).background) Approach(view, *child, absl::ZeroDuration());
}

void StopPlan::Approach(const View& view, const ProcessStat& process, absl::Duration patience) {
  ProcessState& state = StateOf(process);
  const ProcessDetail detail = view.snapshot.inspect(process);
  if (state.told <= view.now) {
    if (!state.copied.empty() && state.copied != detail.command) {
      Tell(view, process);
    } else if (detail.shell) {
      ApproachChildren(view, process);
    }
    return;
  }
  std::vector<std::pair<const ProcessStat*, ProcessDetail>> front;
  if (detail.shell) {
    for (const ProcessStat* child : view.ChildrenOf(process.pid)) {
      ProcessDetail of_child = view.snapshot.inspect(*child);
      if (!of_child.background) front.emplace_back(child, std::move(of_child));
    }
  }
  state.exposed = std::min(state.exposed, view.now);
  if (front.empty()) {
    if (state.halted || view.now >= state.exposed + patience) Tell(view, process);
    return;
  }
  if (!state.halted) signals_.push_back({process.pid, SIGSTOP});
  state.halted = true;
  for (const auto& [child, of_child] : front) {
    const auto writes_to_it = [&read = of_child.standard_input](const auto& other) {
      return !read.empty() && other.second.standard_output == read;
    };
    if (std::ranges::none_of(front, writes_to_it)) Approach(view, *child, first_ ? absl::ZeroDuration() : kAlone);
  }
}

std::vector<StopSignal> StopPlan::Next(const StopSnapshot& snapshot, absl::Time now) {
  signals_.clear();
  View view{snapshot, now, {}};
  for (const ProcessStat& process : snapshot.family) view.children.emplace(process.parent, &process);
  if (now >= last_call_) {
    for (const ProcessStat& process : snapshot.family)
      if (StateOf(process).told > now) Tell(view, process);
  } else {
    const bool main_alive = std::ranges::any_of(
        snapshot.family, [&snapshot](const ProcessStat& process) { return process.pid == snapshot.main; });
    for (const ProcessStat* child : view.ChildrenOf(snapshot.root)) {
      if (main_alive && child->pid != snapshot.main) continue;
      Approach(view, *child, first_ ? absl::ZeroDuration() : kAlone);
    }
  }
  first_ = false;
  return std::move(signals_);
}

}  // namespace riseml::agent
