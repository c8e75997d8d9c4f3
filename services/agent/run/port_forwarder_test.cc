// Ports that lead out of a container.
#include "services/agent/run/port_forwarder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

// Without another network namespace, a forwarder would connect to itself. So this test has one for what is inside.
TEST(PortForwarder, ConnectsAPortOfANamespaceToThatOfTheMachine) {
  const int port = FreePort();
  const UniqueFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  ASSERT_EQ(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(server.get(), 1), 0);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd outside(ends[0]);
  UniqueFd inside(ends[1]);
  std::jthread forwarder([&] { EXPECT_TRUE(ForwardPorts(outside.get(), {std::to_string(port)}).ok()); });
  std::string answer;
  bool separate = true;
  std::jthread job([&] {
    separate = unshare(CLONE_NEWNET) == 0;
    if (!separate || system("ip link set lo up") != 0) return;
    google::protobuf::RepeatedField<std::int32_t> ports;
    ports.Add(port);
    EXPECT_TRUE(PassPortsTo(inside.get(), ports).ok());
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(riseml::WriteAll(fd.get(), "ping").ok());
    shutdown(fd.get(), SHUT_WR);
    char c = 0;
    while (read(fd.get(), &c, 1) == 1) answer.push_back(c);
  });
  std::jthread echo([&] {
    const UniqueFd fd(accept(server.get(), nullptr, nullptr));
    char c = 0;
    while (read(fd.get(), &c, 1) == 1) EXPECT_TRUE(riseml::WriteAll(fd.get(), {&c, 1}).ok());
  });
  job.join();
  if (!separate) shutdown(server.get(), SHUT_RDWR);
  inside.Reset();
  forwarder.join();
  echo.join();
  if (!separate) GTEST_SKIP() << "this account cannot make a network namespace";
  EXPECT_EQ(answer, "ping");
}

TEST(PortForwarder, RefusesWhatIsNoPort) {
  EXPECT_FALSE(ForwardPorts(0, {"0"}).ok());
  EXPECT_FALSE(ForwardPorts(0, {"x"}).ok());
}

}  // namespace
}  // namespace riseml::agent
