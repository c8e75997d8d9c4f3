// Queue of waiting jobs: the jobs of each user in the order in which they are considered, and the verdict last told to
// each job.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

// Place of a job in the order of its user's jobs: negated priority, sequence, id.
using Key = std::tuple<int, std::int64_t, std::string>;

// Single jobs of one user with the same request. Once one of them finds no place, the others behind it find none
// either. A decision thus costs one search for each lane and one for each placed job, however many wait.
struct Lane {
  std::string user;
  Shape shape;
  std::optional<Shape> next;
  std::set<Key> jobs;
  VerdictPtr behind;     // verdict told to jobs behind the first that waits; nullptr: none yet
  std::set<Key> exempt;  // jobs that were last told something else, or nothing
};

// Lives on one thread.
class Queue {
 public:
  // An equal job is left as it is.
  void Put(const Job& job);
  void Remove(const std::string& id);

  const Job& job(const Key& key) const { return jobs_.at(std::get<std::string>(key)).job; }
  using LaneKey = std::tuple<std::string, Shape, std::optional<Shape>>;  // user, shape, next
  std::map<LaneKey, Lane>& lanes() { return lanes_; }
  // Waiting members by gang; gangs of one member stand in lanes.
  const std::map<std::string, std::set<Key>>& gangs() const { return gangs_; }

  // Tells a job why it waits; adds it to `waits` when it was told something else before.
  void Tell(const Key& key, const VerdictPtr& why, std::vector<Wait>* waits);
  // Tells all jobs of the lane from `head` on.
  void TellLane(Lane& lane, const Key& head, const VerdictPtr& at_head, const VerdictPtr& behind,
                std::vector<Wait>* waits);

 private:
  struct Entry {
    Job job;
    VerdictPtr told;
  };
  std::unordered_map<std::string, Entry> jobs_;
  std::map<LaneKey, Lane> lanes_;
  std::map<std::string, std::set<Key>> gangs_;
};

}  // namespace riseml::scheduler::engine
