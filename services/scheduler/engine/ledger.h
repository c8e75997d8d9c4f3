// Tracks the free resources of each node.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

// Lives on one thread. Entries keep their address as long as their node is known.
class Ledger {
 public:
  struct Entry {
    Node node;
    Amount free;                         // may be negative when the node has shrunk
    std::vector<std::string> free_gpus;  // in the node's order
  };

  void Put(const Node& node);
  void Remove(const std::string& node);
  // A holding counts as soon as its node is known.
  void Hold(const Holding& holding);
  void Release(const std::string& holding);

  // Returns the ready node with the least free resources that fits the shape (GPUs, then CPUs, then memory), so that
  // large jobs keep finding whole nodes. Returns a node that the shape avoids only if no other fits; nullptr if none
  // fits. `hint`, the last answer for this shape or nullptr, saves the search while it still fits.
  Entry* Find(const Shape& shape, Entry* hint = nullptr);

  // Takes the shape's amount from a node until Rollback; returns the GPUs taken. The shape must fit.
  std::vector<std::string> Take(Entry& entry, const Amount& amount);
  // Undoes Take.
  void GiveBack(Entry& entry, const Amount& amount, const std::vector<std::string>& gpus);
  // Keeps the amount on a node free until Rollback, as far as it is free already.
  void Reserve(const std::string& node, const Amount& amount);
  // Undoes all Takes and Reserves.
  void Rollback();
  // Returns the resources of all nodes, ready or not.
  Amount Capacity() const;

  // By name of the node.
  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  struct Free {
    Amount amount;
    std::vector<std::string> gpus;
  };
  // Counts anew what is free on a node.
  void Refresh(const std::string& node);
  void Save(Entry& entry) { saved_.try_emplace(&entry, Free{entry.free, entry.free_gpus}); }

  std::map<std::string, Entry> entries_;
  std::map<std::string, Holding> holdings_;                               // by id
  std::map<std::string, std::map<std::string, const Holding*>> on_node_;  // by node and id
  std::map<Entry*, Free> saved_;  // as they were before the first Take or Reserve
};

// True when the node has every label.
bool Matches(const Node& node, const std::map<std::string, std::string>& selectors);
// True if `free` covers `amount`.
bool Fits(const Amount& amount, const Amount& free);
// Returns all resources of a node.
Amount CapacityOf(const Node& node);

}  // namespace riseml::scheduler::engine
