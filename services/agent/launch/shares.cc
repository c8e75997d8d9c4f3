#include "services/agent/launch/shares.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

// These ports are below the range from which the system assigns ports.
constexpr int kFirstPort = 20000;
constexpr int kPortCount = 10000;

bool IsFree(int port) {
  for (const std::uint32_t host : {INADDR_LOOPBACK, INADDR_ANY}) {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(host);
    if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return false;
  }
  return true;
}

}  // namespace

std::vector<internal::v1::RunPlan> LivePlans(const std::string& parent, const std::string& own) {
  std::vector<internal::v1::RunPlan> plans;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const AttemptDir dir(entry.path().string());
    // The temporary directory is removed when the attempt has ended.
    if (dir.path() == own || absl::StartsWith(entry.path().filename().string(), ".") || !FileExists(dir.temporary()))
      continue;
    if (absl::StatusOr<internal::v1::RunPlan> plan = ReadMessage<internal::v1::RunPlan>(dir.run_plan()); plan.ok())
      plans.push_back(*std::move(plan));
  }
  return plans;
}

bool IsJobPort(int port) { return port >= kFirstPort && port < kFirstPort + kPortCount; }

JobPorts ChoosePorts(const std::vector<internal::v1::RunPlan>& taken, std::size_t seed) {
  std::set<int> used;
  for (const internal::v1::RunPlan& plan : taken) {
    for (const char* name : {"MASTER_PORT", "PORT"}) {
      int port = 0;
      const auto it = plan.environment().find(name);
      if (it != plan.environment().end() && absl::SimpleAtoi(it->second, &port)) used.insert(port);
    }
  }
  std::vector<int> found;
  for (int i = 0; i < kPortCount && found.size() < 2; ++i) {
    const int port = kFirstPort + static_cast<int>((seed + i) % kPortCount);
    if (!used.contains(port) && IsFree(port)) found.push_back(port);
  }
  return found.size() < 2 ? JobPorts() : JobPorts{.master = found[0], .service = found[1]};
}

std::vector<int> ChooseProcessors(const std::vector<internal::v1::RunPlan>& taken, const std::vector<int>& all,
                                  double cpus) {
  const auto wanted = static_cast<std::size_t>(std::ceil(std::max(cpus, 0.0)));
  if (wanted == 0 || wanted >= all.size()) return {};
  std::map<int, int> users;
  for (const internal::v1::RunPlan& plan : taken)
    for (const int processor : plan.processors()) ++users[processor];
  std::vector<int> chosen = all;
  std::ranges::stable_sort(chosen, {}, [&users](int processor) { return users[processor]; });
  chosen.resize(wanted);
  std::ranges::sort(chosen);
  return chosen;
}

std::vector<int> OwnProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return processors;
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  return processors;
}

}  // namespace riseml::agent
