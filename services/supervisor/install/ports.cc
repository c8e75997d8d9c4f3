#include "services/supervisor/install/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <random>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {
namespace {

constexpr int kBacklog = 4096;         // the system may allow less
constexpr int kFirstUserPort = 1024;   // lower ones need privileges
constexpr int kFirstNodePort = 30000;  // of Kubernetes' NodePort range, which a cluster on this machine may use
constexpr int kMostTries = 100;        // random ports to try before the system picks one

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A socket that listens on the loopback port (0: one the system picks), or the error.
absl::StatusOr<UniqueFd> Listen(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "make a socket");
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), kBacklog) != 0)
    return ErrnoError(errno, absl::StrCat("listen on 127.0.0.1:", port));
  return fd;
}

absl::StatusOr<int> PortOf(const UniqueFd& fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sin_family != AF_INET)
    return ErrnoError(errno, "ask for a socket's port");
  return ntohs(address.sin_port);
}

bool Listens(const UniqueFd& fd) {
  int listens = 0;
  socklen_t size = sizeof listens;
  return getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// Inode of the socket that listens on a TCP port, from /proc/net/tcp or tcp6; empty when there is none.
std::string ListeningInode(const char* table, int port) {
  const absl::StatusOr<std::string> text = ReadFile(table, 16 << 20);
  if (!text.ok()) return "";
  const std::string suffix = absl::StrFormat(":%04X", port);
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() > 9 && fields[3] == "0A" && absl::EndsWith(fields[1], suffix)) return std::string(fields[9]);
  }
  return "";
}

// Describes the owner of a port: "process 123 (nginx)" if /proc shows it.
std::string OwnerOfPort(int port) {
  std::string inode = ListeningInode("/proc/net/tcp", port);
  if (inode.empty()) inode = ListeningInode("/proc/net/tcp6", port);
  if (inode.empty()) return "a connection that was closed less than a minute ago";
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    std::error_code unreadable;
    for (const auto& fd : std::filesystem::directory_iterator(process.path() / "fd", unreadable)) {
      if (std::filesystem::read_symlink(fd.path(), unreadable) != wanted) continue;
      const absl::StatusOr<std::string> name = ReadFile((process.path() / "comm").string(), 4096);
      return absl::StrCat("process ", process.path().filename().string(), " (",
                          name.ok() ? name->substr(0, name->find('\n')) : "?", ")");
    }
  }
  return "another program";
}

}  // namespace

PortRange PortsToPick(absl::string_view outgoing) {
  const std::vector<absl::string_view> ends = absl::StrSplit(outgoing, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  int first = 0;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first)) return {};
  const PortRange range{first / 2, std::min(first, kFirstNodePort)};
  return range.begin >= kFirstUserPort && range.begin < range.end ? range : PortRange{};
}

absl::StatusOr<PickedPort> PickPort() {
  const PortRange range = PortsToPick(ReadFile("/proc/sys/net/ipv4/ip_local_port_range", 4096).value_or(""));
  PickedPort picked;
  std::random_device random;
  for (int tries = 0; tries < kMostTries && range.begin < range.end; ++tries) {
    picked.port = std::uniform_int_distribution<int>(range.begin, range.end - 1)(random);
    absl::StatusOr<UniqueFd> held = Listen(picked.port);
    if (!held.ok()) continue;
    picked.held = *std::move(held);
    return picked;
  }
  RISEML_ASSIGN_OR_RETURN(picked.held, Listen(0));
  RISEML_ASSIGN_OR_RETURN(picked.port, PortOf(picked.held));
  return picked;
}

absl::StatusOr<UniqueFd> ListenOn(const std::string& listener, int port) {
  absl::StatusOr<UniqueFd> fd = Listen(port);
  if (fd.ok()) return fd;
  return Error(Reason::kUnavailable,
               absl::StrCat("port ", port, " of ", listener, " is taken by ", OwnerOfPort(port),
                            "; end that process and run `riseml up` again. An installation keeps its ports because "
                            "running jobs use them. If no job runs, you can get a new port instead: remove the line \"",
                            listener, "\" from supervisor.json, then run `riseml up`"));
}

absl::Status CheckPortFree(const std::string& listener, int port) { return ListenOn(listener, port).status(); }

absl::StatusOr<UniqueFd> CopyListeningSocket(int pid, int port) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const std::string inode = absl::StrCat("socket:[", ListeningInode("/proc/net/tcp", port), "]");
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), error)) {
    int number = -1;
    if (std::filesystem::read_symlink(entry.path(), error) != inode ||
        !absl::SimpleAtoi(entry.path().filename().string(), &number))
      continue;
    UniqueFd copy(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    if (copy.valid() && Listens(copy) && PortOf(copy).value_or(0) == port) return copy;
  }
  return Error(Reason::kNotFound, absl::StrCat("process ", pid, " shows no socket that listens on port ", port));
}

}  // namespace riseml::supervisor
