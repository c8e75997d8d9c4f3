#include "services/scheduler/engine/ledger.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

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

Ledger Ledger::Of(const Snapshot& snapshot, bool idle) {
  Ledger ledger;
  for (const Node& node : snapshot.nodes) ledger.entries_.push_back({&node, CapacityOf(node), node.gpu_uuids});
  std::ranges::sort(ledger.entries_, {}, [](const Entry& entry) { return entry.node->name; });
  if (idle) return ledger;

  std::unordered_map<std::string, Entry*> by_name;
  for (Entry& entry : ledger.entries_) by_name.emplace(entry.node->name, &entry);
  std::unordered_map<Entry*, std::set<std::string>> taken;
  for (const Running& running : snapshot.running) {
    const auto it = by_name.find(running.node);
    if (it == by_name.end()) continue;
    it->second->free.cpu_millis -= running.amount.cpu_millis;
    it->second->free.memory_bytes -= running.amount.memory_bytes;
    taken[it->second].insert(running.gpu_uuids.begin(), running.gpu_uuids.end());
  }
  for (const auto& entry : taken)
    std::erase_if(entry.first->free_gpus, [&](const auto& gpu) { return entry.second.contains(gpu); });
  for (Entry& entry : ledger.entries_) entry.free.gpus = static_cast<int>(entry.free_gpus.size());
  return ledger;
}

std::optional<std::size_t> Ledger::Find(const Shape& shape, std::optional<std::size_t> hint) const {
  if (hint && Fits(shape.amount, entries_[*hint].free)) return hint;
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!entry.node->ready || !Fits(shape.amount, entry.free) || !Matches(*entry.node, shape.selectors)) continue;
    const auto key = [&](const Entry& e) {
      return std::tuple(shape.avoided.contains(e.node->name), e.free.gpus, e.free.cpu_millis, e.free.memory_bytes);
    };
    if (!best || key(entry) < key(entries_[*best])) best = i;
  }
  return best;
}

std::vector<std::string> Ledger::Take(std::size_t entry, const Amount& amount) {
  Entry& from = entries_[entry];
  from.free.cpu_millis -= amount.cpu_millis;
  from.free.memory_bytes -= amount.memory_bytes;
  from.free.gpus -= amount.gpus;
  const auto end = from.free_gpus.begin() + amount.gpus;
  std::vector<std::string> gpus(from.free_gpus.begin(), end);
  from.free_gpus.erase(from.free_gpus.begin(), end);
  return gpus;
}

void Ledger::GiveBack(std::size_t entry, const Amount& amount, const std::vector<std::string>& gpus) {
  Entry& to = entries_[entry];
  to.free.cpu_millis += amount.cpu_millis;
  to.free.memory_bytes += amount.memory_bytes;
  to.free.gpus += amount.gpus;
  to.free_gpus.insert(to.free_gpus.begin(), gpus.begin(), gpus.end());
}

void Ledger::Reserve(std::size_t entry, const Amount& amount) {
  Entry& at = entries_[entry];
  at.free.cpu_millis = std::max<std::int64_t>(at.free.cpu_millis - amount.cpu_millis, 0);
  at.free.memory_bytes = std::max<std::int64_t>(at.free.memory_bytes - amount.memory_bytes, 0);
  at.free.gpus = std::max(at.free.gpus - amount.gpus, 0);
  at.free_gpus.resize(static_cast<std::size_t>(at.free.gpus));
}

}  // namespace riseml::scheduler::engine
