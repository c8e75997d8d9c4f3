#include "services/scheduler/engine/ledger.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace riseml::scheduler::engine {

bool Matches(const Node& node, const std::map<std::string, std::string>& selectors) {
  return std::ranges::all_of(selectors, [&](const auto& selector) {
    const auto label = node.labels.find(selector.first);
    return label != node.labels.end() && label->second == selector.second;
  });
}

bool Fits(const Amount& amount, const Amount& free) {
  return amount.cpu_millis <= free.cpu_millis && amount.memory_bytes <= free.memory_bytes && amount.gpus <= free.gpus;
}

Amount CapacityOf(const Node& node) {
  return {node.cpu_millis, node.memory_bytes, static_cast<int>(node.gpu_uuids.size())};
}

void Ledger::Put(const Node& node) {
  entries_[node.name].node = node;
  Refresh(node.name);
}

void Ledger::Remove(const std::string& node) { entries_.erase(node); }

void Ledger::Hold(const Holding& holding) {
  Release(holding.id);
  const auto it = holdings_.emplace(holding.id, holding).first;
  on_node_[holding.node][holding.id] = &it->second;
  Refresh(holding.node);
}

void Ledger::Release(const std::string& holding) {
  const auto it = holdings_.find(holding);
  if (it == holdings_.end()) return;
  const std::string node = it->second.node;
  const auto on_node = on_node_.find(node);
  on_node->second.erase(holding);
  if (on_node->second.empty()) on_node_.erase(on_node);
  holdings_.erase(it);
  Refresh(node);
}

void Ledger::Refresh(const std::string& node) {
  const auto it = entries_.find(node);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.free = CapacityOf(entry.node);
  entry.free_gpus = entry.node.gpu_uuids;
  const auto holders = on_node_.find(node);
  if (holders == on_node_.end()) return;
  std::set<std::string> taken;
  for (const auto& [id, holding] : holders->second) {
    entry.free.cpu_millis -= holding->amount.cpu_millis;
    entry.free.memory_bytes -= holding->amount.memory_bytes;
    taken.insert(holding->gpu_uuids.begin(), holding->gpu_uuids.end());
  }
  std::erase_if(entry.free_gpus, [&](const std::string& gpu) { return taken.contains(gpu); });
  entry.free.gpus = static_cast<int>(entry.free_gpus.size());
}

Ledger::Entry* Ledger::Find(const Shape& shape, Entry* hint) {
  if (hint != nullptr && Fits(shape.amount, hint->free)) return hint;
  Entry* best = nullptr;
  const auto key = [&](const Entry& e) {
    return std::tuple(shape.avoided.contains(e.node.name), e.free.gpus, e.free.cpu_millis, e.free.memory_bytes);
  };
  for (auto& [name, entry] : entries_) {
    if (!entry.node.ready || !Fits(shape.amount, entry.free) || !Matches(entry.node, shape.selectors)) continue;
    if (best == nullptr || key(entry) < key(*best)) best = &entry;
  }
  return best;
}

std::vector<std::string> Ledger::Take(Entry& entry, const Amount& amount) {
  Save(entry);
  entry.free -= amount;
  const auto end = entry.free_gpus.begin() + amount.gpus;
  std::vector<std::string> gpus(entry.free_gpus.begin(), end);
  entry.free_gpus.erase(entry.free_gpus.begin(), end);
  return gpus;
}

void Ledger::GiveBack(Entry& entry, const Amount& amount, const std::vector<std::string>& gpus) {
  entry.free += amount;
  entry.free_gpus.insert(entry.free_gpus.begin(), gpus.begin(), gpus.end());
}

void Ledger::Reserve(const std::string& node, const Amount& amount) {
  Entry& entry = entries_.at(node);
  Save(entry);
  entry.free.cpu_millis = std::max<std::int64_t>(entry.free.cpu_millis - amount.cpu_millis, 0);
  entry.free.memory_bytes = std::max<std::int64_t>(entry.free.memory_bytes - amount.memory_bytes, 0);
  entry.free.gpus = std::max(entry.free.gpus - amount.gpus, 0);
  entry.free_gpus.resize(static_cast<std::size_t>(entry.free.gpus));
}

Amount Ledger::Capacity() const {
  Amount capacity;
  for (const auto& [name, entry] : entries_) capacity += CapacityOf(entry.node);
  return capacity;
}

void Ledger::Rollback() {
  for (auto& [entry, free] : saved_) {
    entry->free = free.amount;
    entry->free_gpus = std::move(free.gpus);
  }
  saved_.clear();
}

}  // namespace riseml::scheduler::engine
