#include "services/common/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"

namespace riseml::metrics {
namespace {

using ::testing::HasSubstr;

// A port of loopback that is free now.
int FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

// Answer to GET /metrics; empty when nobody listens.
std::string Scrape(int port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return "";
  EXPECT_TRUE(WriteAll(fd.get(), "GET /metrics HTTP/1.0\r\n\r\n").ok());
  std::string out;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd.get(), buffer, sizeof buffer)) > 0;) out.append(buffer, n);
  return out;
}

TEST(Metrics, AreServedUntilTheExposerGoes) {
  CountCall("riseml.v1.JobService/GetJob", "OK", 0.002);
  const int port = FreePort();
  for (int i = 0; i < 3; ++i) {
    const Exposer exposer(absl::StrCat("127.0.0.1:", port));
    EXPECT_THAT(Scrape(port),
                HasSubstr("riseml_rpc_requests_total{code=\"OK\",method=\"riseml.v1.JobService/GetJob\"} 1"));
  }
  EXPECT_EQ(Scrape(port), "");
}

TEST(Metrics, AnAddressInUseIsTakenOnceItIsFreeAndAnEmptyOneServesNothing) {  // A15
  const Exposer nothing("");
  const int port = FreePort();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  CountCall("riseml.v1.JobService/ListJobs", "OK", 0.002);
  auto first = std::make_unique<Exposer>(address);
  const Exposer second(address);
  const Exposer third(address);
  EXPECT_THAT(Scrape(port), HasSubstr("riseml_rpc_requests_total"));
  first.reset();
  while (Scrape(port).empty()) poll(nullptr, 0, 20);
}

}  // namespace
}  // namespace riseml::metrics
