// The network of a job: a namespace of its own, out of which slirp4netns leads.
//
// Such a job reaches other machines. It reaches neither the ports of its own machine, which are those of the platform
// and of other users' programs, nor those of other jobs. A port of its own can be opened to the machine.
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

// The name server in the namespace, which asks that of the machine.
inline constexpr char kNameServer[] = "10.0.2.3";

struct NetworkChoice {
  bool own = false;
  std::string why_not;  // a clause for people; empty when `own`, and when the machine's network was asked for
};

// Chooses the network of jobs as configured: "auto" (also ""), kNetworkOwn or kNetworkShared. "auto" tries it out, and
// shares when `settings`, what the node tells jobs of proxies and package indexes, lead to this machine's own loopback.
// FAILED_PRECONDITION when kNetworkOwn was asked for and does not work; INVALID_ARGUMENT for another word.
absl::StatusOr<NetworkChoice> ChooseNetwork(const std::string& configured, bool sandboxed, const Variables& settings);

// True when a setting such as "http://localhost:3128" names this machine itself.
bool NamesLoopback(absl::string_view setting);

// Leads the network namespace of a process, made by SpawnDetached, out for as long as somebody holds the write end of
// the pipe `alive`. Writes "1" into `ready` when it does, and closes it in any case. `directory` gets a log and a
// socket for ForwardPort.
absl::Status ConnectNetwork(pid_t process, const UniqueFd& alive, const UniqueFd& ready, const std::string& directory);

// Lets 127.0.0.1:PORT of the machine lead to the same port of the job that has `directory`. Done already: OK.
// UNAVAILABLE when its network does not lead out yet.
absl::Status ForwardPort(const std::string& directory, int port);

// What /etc/resolv.conf of the job holds: `machines` with another name server.
std::string ResolvConfOf(absl::string_view machines);

}  // namespace riseml::agent
