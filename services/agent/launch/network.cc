#include "services/agent/launch/network.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/agent/process/spawn.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr char kSlirp[] = "/usr/bin/slirp4netns";
constexpr char kTun[] = "/dev/net/tun";
constexpr char kSocket[] = "network.sock";
constexpr char kAddress[] = "10.0.2.100";  // address that slirp4netns gives the job
constexpr int kProbeMs = 5000;
constexpr timeval kAnswerLimit{.tv_sec = 1, .tv_usec = 0};
constexpr std::size_t kMaxAnswer = 4096;

// Returns the last line that is not a warning, since slirp4netns prints warnings after its error.
std::string ErrorIn(absl::string_view log) {
  std::vector<absl::string_view> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  while (lines.size() > 1 && absl::StartsWith(lines.back(), "WARNING")) lines.pop_back();
  return lines.empty() ? "it says nothing" : std::string(lines.back());
}

// Makes a namespace and connects it to the outside, as for a job.
absl::Status Probe() {
  struct stat info {};
  if (stat(kSlirp, &info) != 0) return Error(Reason::kNotFound, "slirp4netns is not installed");
  RISEML_RETURN_IF_ERROR(OpenFile(kTun, O_RDWR).status());
  RISEML_ASSIGN_OR_RETURN(Pipe alive, MakePipe());
  RISEML_ASSIGN_OR_RETURN(Pipe ready, MakePipe());
  SpawnRequest request;
  request.argv = {"/bin/cat"};  // lives until its input ends
  request.environment = {"PATH=/usr/bin:/bin"};
  request.descriptors = {{alive.read.get(), 0}};
  request.own_network = true;
  RISEML_ASSIGN_OR_RETURN(const pid_t process, SpawnDetached(request));
  char scratch[] = "/tmp/riseml-network-XXXXXX";
  if (mkdtemp(scratch) == nullptr) return ErrnoError(errno, "make a directory below /tmp");
  absl::Status status = ConnectNetwork(process, alive.read, ready.write, scratch);
  ready.write.Reset();
  pollfd answer{ready.read.get(), POLLIN, 0};
  char said = 0;
  if (status.ok() && (poll(&answer, 1, kProbeMs) != 1 || read(ready.read.get(), &said, 1) != 1)) {
    const std::string log = ReadFile(absl::StrCat(scratch, "/network.log"), 1 << 16).value_or("");
    status = absl::UnavailableError(absl::StrCat("slirp4netns fails: ", ErrorIn(log)));
  }
  if (const absl::Status removed = RemoveTree(scratch); status.ok()) status = removed;
  return status;
}

absl::StatusOr<UniqueFd> NamespaceOf(pid_t process, absl::string_view kind) {
  return OpenFile(absl::StrCat("/proc/", process, "/ns/", kind), O_RDONLY);
}

}  // namespace

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

bool NamesLoopback(absl::string_view setting) {
  for (absl::string_view rest = setting; !rest.empty();) {
    const std::size_t at = rest.find("//");
    if (at == absl::string_view::npos) break;
    rest.remove_prefix(at + 2);
    absl::string_view host = rest.substr(0, rest.find_first_of("/ \n"));
    if (const std::size_t user = host.rfind('@'); user != absl::string_view::npos) host.remove_prefix(user + 1);
    if (absl::StartsWith(host, "127.") || absl::StartsWith(host, "localhost") || absl::StartsWith(host, "[::1]"))
      return true;
  }
  return false;
}

absl::StatusOr<NetworkChoice> ChooseNetwork(const std::string& configured, bool sandboxed, const Variables& settings) {
  if (configured == kNetworkShared) return NetworkChoice();
  const bool required = configured == kNetworkOwn;
  if (!required && !configured.empty() && configured != "auto")
    return Error(Reason::kInvalidArgument, absl::StrCat("network must be auto, own or shared, not ", configured));
  NetworkChoice choice;
  for (const auto& [name, value] : settings)
    if (!required && NamesLoopback(value))
      choice.why_not = absl::StrCat(name, " leads to a port of this machine, which jobs could not reach otherwise");
  if (!sandboxed) choice.why_not = "jobs run without a sandbox";
  if (choice.why_not.empty()) {
    const absl::Status works = Probe();
    choice.own = works.ok();
    choice.why_not = std::string(works.message());
  }
  if (required && !choice.own)
    return absl::FailedPreconditionError(absl::StrCat("network: own was asked for: ", choice.why_not,
                                                      ". Use network: shared to give jobs that of the machine"));
  return choice;
}

absl::Status ConnectNetwork(pid_t process, const UniqueFd& alive, const UniqueFd& ready, const std::string& directory) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd user, NamespaceOf(process, "user"));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd network, NamespaceOf(process, "net"));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd log,
                          OpenFile(directory + "/network.log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  SpawnRequest request;
  request.argv = {kSlirp,
                  "--configure",
                  "--mtu=65520",
                  "--disable-host-loopback",
                  "--enable-seccomp",
                  "--exit-fd=3",
                  "--ready-fd=4",
                  "--userns-path=/proc/self/fd/5",
                  "--netns-type=path",
                  absl::StrCat("--api-socket=", kSocket),
                  "/proc/self/fd/6",
                  "tap0"};
  request.environment = {"PATH=/usr/bin:/bin"};
  request.directory = directory;  // the path of the socket must be short
  request.descriptors = {{log.get(), 1},   {log.get(), 2},  {alive.get(), 3},
                         {ready.get(), 4}, {user.get(), 5}, {network.get(), 6}};
  return SpawnDetached(request).status();
}

absl::Status ForwardPort(const std::string& directory, int port) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd parent, OpenFile(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", parent.get(), kSocket);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "make a socket");
  for (const int limit : {SO_RCVTIMEO, SO_SNDTIMEO})
    setsockopt(fd.get(), SOL_SOCKET, limit, &kAnswerLimit, sizeof kAnswerLimit);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return absl::UnavailableError(absl::StrCat("ask the network of ", directory, ": ", std::strerror(errno)));
  const std::string asked =
      absl::StrCat(R"({"execute":"add_hostfwd","arguments":{"proto":"tcp","host_addr":"127.0.0.1","host_port":)", port,
                   R"(,"guest_addr":")", kAddress, R"(","guest_port":)", port, "}}");
  RISEML_RETURN_IF_ERROR(WriteAll(fd.get(), asked));
  shutdown(fd.get(), SHUT_WR);
  std::string answer(kMaxAnswer, '\0');
  const ssize_t size = read(fd.get(), answer.data(), answer.size());
  answer.resize(std::max<ssize_t>(size, 0));
  if (absl::StrContains(answer, "\"return\"") || absl::StrContains(answer, "\"id\"")) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("open port ", port, " of a job to the machine: ", answer));
}

std::string ResolvConfOf(absl::string_view machines) {
  std::string text = absl::StrCat("nameserver ", kNameServer, "\n");
  for (const absl::string_view line : absl::StrSplit(machines, '\n'))
    if (absl::StartsWith(line, "search") || absl::StartsWith(line, "options") || absl::StartsWith(line, "domain"))
      absl::StrAppend(&text, line, "\n");
  return text;
}

}  // namespace riseml::agent
