#include "services/scheduler/engine/turns.h"

#include <algorithm>
#include <cstdint>

namespace riseml::scheduler::engine {
namespace {

double Share(std::int64_t held, std::int64_t total) {
  return total > 0 ? static_cast<double>(held) / static_cast<double>(total) : 0;
}

}  // namespace

void Turns::Push(const std::string& user, const Unit& unit) {
  User& owner = Find(user);
  owner.units.push(unit);
  Place(user, owner);
}

std::optional<std::pair<std::string, Unit>> Turns::Pop() {
  if (order_.empty()) return std::nullopt;
  const std::string name = order_.begin()->second;
  User& user = Find(name);
  const Unit unit = user.units.top();
  user.units.pop();
  Place(name, user);
  return std::pair(name, unit);
}

void Turns::Took(const std::string& user, const Amount& amount) {
  User& owner = Find(user);
  owner.held += amount;
  Place(user, owner);
}

Turns::User& Turns::Find(const std::string& name) {
  const auto [it, is_new] = users_.try_emplace(name);
  if (const auto held = held_.find(name); is_new && held != held_.end()) it->second.held = held->second;
  return it->second;
}

void Turns::Place(const std::string& name, User& user) {
  if (user.place) order_.erase(*user.place);
  user.place.reset();
  if (user.units.empty()) return;
  const auto& [priority, sequence, id] = *user.units.top().at;
  user.place = order_.insert({Rank(priority, ShareOf(user.held), sequence, id), name}).first;
}

double Turns::ShareOf(const Amount& held) const {
  return std::max({Share(held.cpu_millis, total_.cpu_millis), Share(held.memory_bytes, total_.memory_bytes),
                   Share(held.gpus, total_.gpus)});
}

}  // namespace riseml::scheduler::engine
