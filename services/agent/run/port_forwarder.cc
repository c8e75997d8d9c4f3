#include "services/agent/run/port_forwarder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMostPorts = 16;
constexpr std::size_t kMostForwarded = 256;
constexpr int kBacklog = 128;
constexpr int kFullPauseMs = 20;  // while there are as many connections as may be
constexpr std::size_t kCopyBytes = 64 << 10;

sockaddr_in LoopbackAt(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

absl::StatusOr<UniqueFd> ListenAt(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in address = LoopbackAt(port);
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), kBacklog) != 0)
    return ErrnoError(errno, absl::StrCat("listen at port ", port));
  return fd;
}

absl::StatusOr<std::vector<int>> ParsePorts(const std::vector<std::string>& texts) {
  std::vector<int> ports;
  for (const std::string& text : texts) {
    int port = 0;
    if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535)
      return Error(Reason::kInvalidArgument, absl::StrCat("a port must be a number from 1 to 65535, not ", text));
    ports.push_back(port);
  }
  if (ports.size() > kMostPorts)
    return Error(Reason::kLimitExceeded, absl::StrCat("at most ", kMostPorts, " ports can be forwarded"));
  return ports;
}

// A message of one byte with room for descriptors.
class DescriptorMessage {
 public:
  explicit DescriptorMessage(std::size_t descriptors) {
    message_.msg_iov = &data_;
    message_.msg_iovlen = 1;
    message_.msg_control = control_;
    message_.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;

  msghdr& message() { return message_; }

 private:
  char byte_ = 0;
  iovec data_{&byte_, 1};
  alignas(cmsghdr) char control_[CMSG_SPACE(kMostPorts * sizeof(int))] = {};
  msghdr message_{};
};

absl::StatusOr<std::vector<UniqueFd>> ReceiveListeners(int container) {
  DescriptorMessage received_message(kMostPorts);
  msghdr& message = received_message.message();
  ssize_t received = 0;
  while ((received = recvmsg(container, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (received < 0) return ErrnoError(errno, "receive the sockets of a container");
  std::vector<UniqueFd> listeners;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return listeners;
  const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
    listeners.emplace_back(fd);
  }
  return listeners;
}

// One connection and its continuation on the machine. Two threads copy, one in each direction.
class Forwarded {
 public:
  Forwarded(UniqueFd inside, UniqueFd outside) : inside_(std::move(inside)), outside_(std::move(outside)) {
    threads_[0] = std::jthread([this] { Copy(inside_.get(), outside_.get()); });
    threads_[1] = std::jthread([this] { Copy(outside_.get(), inside_.get()); });
  }
  ~Forwarded() {
    for (const UniqueFd* fd : {&inside_, &outside_}) shutdown(fd->get(), SHUT_RDWR);
    for (std::jthread& thread : threads_) thread.join();
  }
  bool ended() const { return ended_ == 2; }

 private:
  void Copy(int from, int to) {
    const std::unique_ptr<char[]> buffer(new char[kCopyBytes]);
    while (true) {
      const ssize_t size = read(from, buffer.get(), kCopyBytes);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0 || !WriteAll(to, {buffer.get(), static_cast<std::size_t>(size)}).ok()) break;
    }
    shutdown(to, SHUT_WR);
    ++ended_;
  }

  const UniqueFd inside_, outside_;
  std::atomic<int> ended_ = 0;  // directions that have ended
  std::jthread threads_[2];
};

std::unique_ptr<Forwarded> Accept(int listener, int port) {
  UniqueFd inside(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!inside.valid()) return nullptr;
  UniqueFd outside(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = LoopbackAt(port);
  if (!outside.valid() || connect(outside.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return nullptr;  // the program inside sees that its connection ends
  return std::make_unique<Forwarded>(std::move(inside), std::move(outside));
}

}  // namespace

absl::Status PassPortsTo(int forwarder, const google::protobuf::RepeatedField<std::int32_t>& ports) {
  if (ports.empty() || ports.size() > static_cast<int>(kMostPorts))
    return Error(Reason::kLimitExceeded, absl::StrCat("1 to ", kMostPorts, " ports can be forwarded"));
  std::vector<UniqueFd> listeners;
  std::vector<int> numbers;
  for (const int port : ports) {
    RISEML_ASSIGN_OR_RETURN(UniqueFd listener, ListenAt(port));
    numbers.push_back(listener.get());
    listeners.push_back(std::move(listener));
  }
  DescriptorMessage sent(numbers.size());
  msghdr& message = sent.message();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), numbers.data(), numbers.size() * sizeof(int));
  if (sendmsg(forwarder, &message, MSG_NOSIGNAL) != 1) return ErrnoError(errno, "pass sockets to the forwarder");
  return absl::OkStatus();
}

absl::Status ForwardPorts(int container, const std::vector<std::string>& ports) {
  RISEML_ASSIGN_OR_RETURN(const std::vector<int> numbers, ParsePorts(ports));
  RISEML_ASSIGN_OR_RETURN(const std::vector<UniqueFd> listeners, ReceiveListeners(container));
  if (listeners.size() != numbers.size()) return absl::OkStatus();  // the container has ended before
  std::vector<pollfd> watched = {{container, POLLIN, 0}};
  for (const UniqueFd& listener : listeners) watched.push_back({listener.get(), POLLIN, 0});
  std::list<std::unique_ptr<Forwarded>> forwarded;
  while (true) {
    const bool full = forwarded.size() >= kMostForwarded;
    if (poll(watched.data(), full ? 1 : watched.size(), full ? kFullPauseMs : -1) < 0 && errno != EINTR)
      return ErrnoError(errno, "wait for connections");
    if (watched[0].revents != 0) return absl::OkStatus();
    forwarded.remove_if([](const std::unique_ptr<Forwarded>& one) { return one->ended(); });
    if (full) continue;
    for (std::size_t i = 0; i < listeners.size(); ++i)
      if (watched[i + 1].revents != 0)
        if (std::unique_ptr<Forwarded> next = Accept(listeners[i].get(), numbers[i]); next != nullptr)
          forwarded.push_back(std::move(next));
  }
}

}  // namespace riseml::agent
