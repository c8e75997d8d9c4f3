// What is free on each node while a plan is made.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/scheduler/engine/snapshot.h"

namespace riseml::scheduler::engine {

// Lives on one thread. Refers to the snapshot's nodes.
class Ledger {
 public:
  struct Entry {
    const Node* node;
    Amount free;                         // may be negative when a node has shrunk
    std::vector<std::string> free_gpus;  // in the node's order
  };

  // All nodes with what the running attempts leave, by name. With `idle`, as if nothing ran.
  static Ledger Of(const Snapshot& snapshot, bool idle);

  // Index of the ready node the shape leaves the least on (GPUs, then CPUs, then memory), so that large jobs keep
  // finding whole nodes; one that the shape avoids only when it fits no other. nullopt when it fits none. `hint`, the
  // last answer for this shape, saves the search while it still fits.
  std::optional<std::size_t> Find(const Shape& shape, std::optional<std::size_t> hint) const;

  // Takes the shape's amount from a node; returns the GPUs taken. The shape must fit.
  std::vector<std::string> Take(std::size_t entry, const Amount& amount);
  // Undoes Take.
  void GiveBack(std::size_t entry, const Amount& amount, const std::vector<std::string>& gpus);

  // Keeps the amount on a node free of everything that is placed from now on, as far as it is free already.
  void Reserve(std::size_t entry, const Amount& amount);

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

// True when the node has every label.
bool Matches(const Node& node, const std::map<std::string, std::string>& selectors);
// True when all of `amount` is there.
bool Fits(const Amount& amount, const Amount& free);
// All a node has.
Amount CapacityOf(const Node& node);

}  // namespace riseml::scheduler::engine
