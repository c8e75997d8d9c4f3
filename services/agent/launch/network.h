// Network of a job: its own network namespace, which slirp4netns connects to the outside.
//
// Such a job can reach other machines. It can reach neither ports of its own machine, where the platform and programs
// of other users listen, nor ports of other jobs. One of its own ports can be opened to the machine.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/agent/launch/job_variables.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

inline constexpr char kNetworkOwn[] = "own";
inline constexpr char kNetworkShared[] = "shared";

// A pipe, both ends closed on exec.
struct Pipe {
  UniqueFd read, write;
};
absl::StatusOr<Pipe> MakePipe();

// Name server in the namespace; it forwards to the one of the machine.
inline constexpr char kNameServer[] = "10.0.2.3";

struct NetworkChoice {
  bool own = false;
  std::string why_not;  // a clause for users; empty if `own` or if kNetworkShared is configured
};

// Chooses the network of jobs as configured: "auto" (also ""), kNetworkOwn or kNetworkShared. "auto" probes for
// kNetworkOwn and falls back to kNetworkShared, also if `settings`, the proxies and package indexes that jobs get from
// the node, name the loopback of this machine. FAILED_PRECONDITION if kNetworkOwn is configured and does not work;
// INVALID_ARGUMENT for any other word.
absl::StatusOr<NetworkChoice> ChooseNetwork(const std::string& configured, bool sandboxed, const Variables& settings);

// True when a setting such as "http://localhost:3128" names this machine itself.
bool NamesLoopback(absl::string_view setting);

// Connects the network namespace of a process, made by SpawnDetached, to the outside for as long as any process holds
// the write end of the pipe `alive`. Writes "1" to `ready` once connected, and closes it in any case. Puts a log and a
// socket for ForwardPort into `directory`.
absl::Status ConnectNetwork(pid_t process, const UniqueFd& alive, const UniqueFd& ready, const std::string& directory);

// Forwards 127.0.0.1:PORT of the machine to the same port of the job that has `directory`. OK if that was done before.
// UNAVAILABLE if the job's network is not connected yet.
absl::Status ForwardPort(const std::string& directory, int port);

// Content of the job's /etc/resolv.conf: that of the machine, `machines`, with another name server.
std::string ResolvConfOf(absl::string_view machines);

}  // namespace riseml::agent
