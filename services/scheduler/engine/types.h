// Input and decisions of the engine. Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::scheduler::engine {

// An amount of each resource a node has.
struct Amount {
  std::int64_t cpu_millis = 0;
  std::int64_t memory_bytes = 0;
  int gpus = 0;
  friend auto operator<=>(const Amount&, const Amount&) = default;
  Amount& operator+=(const Amount& more) {
    cpu_millis += more.cpu_millis;
    memory_bytes += more.memory_bytes;
    gpus += more.gpus;
    return *this;
  }
  Amount& operator-=(const Amount& less) {
    cpu_millis -= less.cpu_millis;
    memory_bytes -= less.memory_bytes;
    gpus -= less.gpus;
    return *this;
  }
};

struct Node {
  std::string name;
  std::int64_t cpu_millis = 0;
  std::int64_t memory_bytes = 0;
  std::vector<std::string> gpu_uuids;  // in the order they are given out
  std::map<std::string, std::string> labels;
  bool ready = false;   // takes new jobs
  std::string message;  // why it is not ready
  friend bool operator==(const Node&, const Node&) = default;
};

// Resources of a node that an attempt holds.
struct Holding {
  std::string id;
  std::string node;
  Amount amount;
  std::vector<std::string> gpu_uuids;
  std::string gang;      // of its job; empty: alone
  bool evicted = false;  // it is being stopped already
  std::string user;      // who runs it
  friend bool operator==(const Holding&, const Holding&) = default;
};

// Request of a job. Jobs of the same shape are judged together.
struct Shape {
  Amount amount;
  std::map<std::string, std::string> selectors;  // labels a node must have
  std::set<std::string> avoided = {};            // nodes that are taken only when no other has room
  friend auto operator<=>(const Shape&, const Shape&) = default;
};

// A job that waits for a place.
struct Job {
  std::string id;
  std::string gang;           // jobs with the same value are placed together or not at all; empty: alone
  int gang_size = 1;          // members that have not ended; the gang is placed once this many wait
  int priority = 0;           // higher goes first
  std::int64_t sequence = 0;  // then lower goes first, between jobs of one user and of users with equal shares
  std::string user;           // who asked for it
  Shape shape;
  // For a build: the shape of the job that waits for it. Nothing is built for a job that no node can hold.
  std::optional<Shape> next;
  friend bool operator==(const Job&, const Job&) = default;
};

enum class WaitReason {
  kNoCapacity,      // fits a ready node when others have left it
  kBehindOlderJob,  // a job that goes first waits for capacity
  kTooLarge,        // larger than every node
  kNoMatchingNode,  // no node has the labels it asks for
  kNoNode,          // every node that could take it is not ready
};
inline constexpr std::array<absl::string_view, 5> kWaitReasonNames = {"NO_CAPACITY", "BEHIND_OLDER_JOB", "TOO_LARGE",
                                                                      "NO_MATCHING_NODE", "NO_NODE"};

// "NO_CAPACITY" ….
inline absl::string_view Name(WaitReason reason) { return kWaitReasonNames[static_cast<std::size_t>(reason)]; }
// True if only another node could help.
inline bool IsHopeless(WaitReason reason) {
  return reason == WaitReason::kTooLarge || reason == WaitReason::kNoMatchingNode;
}

// Reason why a job waits: the code, facts for programs, a sentence for people.
struct Verdict {
  WaitReason reason = WaitReason::kNoCapacity;
  std::map<std::string, std::string> metadata;  // e.g. resource=cpus needed=4 available=2 node=local
  std::string message;                          // e.g. "needs 4 CPUs, 2 free on node local"
  friend bool operator==(const Verdict&, const Verdict&) = default;
};
using VerdictPtr = std::shared_ptr<const Verdict>;  // never null inside a decision

// A place for a job.
struct Binding {
  std::string job;
  std::string node;
  std::vector<std::string> gpu_uuids;
};
// Jobs that start together: all members of a gang, or one job.
using Group = std::vector<Binding>;

// A holding to be given back because a member of its gang was left behind.
struct Eviction {
  std::string holding;
  std::string left_behind;  // id of the member
};

struct Wait {
  std::string job;
  VerdictPtr why;
};

struct Decisions {
  std::vector<Group> starts;                // in the order in which jobs were considered
  std::vector<Eviction> evictions;          // repeated until the holding is removed or `evicted`
  std::vector<Wait> waits;                  // of jobs whose reason differs from the one last told
  std::array<std::size_t, 5> waiting = {};  // number of jobs that wait, by reason
};

}  // namespace riseml::scheduler::engine
