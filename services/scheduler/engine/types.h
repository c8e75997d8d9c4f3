// What the engine looks at: nodes, what runs on them, and what waits. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace riseml::scheduler::engine {

// An amount of each resource a node has.
struct Amount {
  std::int64_t cpu_millis = 0;
  std::int64_t memory_bytes = 0;
  int gpus = 0;
  friend auto operator<=>(const Amount&, const Amount&) = default;
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

// An attempt that holds resources of a node.
struct Running {
  std::string node;
  Amount amount;
  std::vector<std::string> gpu_uuids;
};

// What a job asks for. Jobs of the same shape are judged together.
struct Shape {
  Amount amount;
  std::map<std::string, std::string> selectors;  // labels a node must have
  std::set<std::string> avoided = {};            // nodes that are taken only when no other has room
  friend auto operator<=>(const Shape&, const Shape&) = default;
};

struct PendingJob {
  std::string id;
  std::string gang;           // jobs with the same value are placed together or not at all; empty: alone
  int priority = 0;           // higher goes first
  std::int64_t sequence = 0;  // then lower goes first
  int shape = 0;              // index into Snapshot::shapes
  // Shape of the job that waits for this one, a build; -1: none. What no node can hold need not be built for.
  int next_shape = -1;
};

struct Snapshot {
  std::vector<Node> nodes;
  std::vector<Running> running;
  std::vector<Shape> shapes;
  std::vector<PendingJob> pending;
};

}  // namespace riseml::scheduler::engine
