#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>

#include "services/common/oci/curl_http.h"

namespace riseml::oci {
namespace {

bool IsPrivate(const char* text) {
  std::array<unsigned char, 16> bytes{};
  for (const int family : {AF_INET, AF_INET6})
    if (inet_pton(family, text, bytes.data()) == 1) return IsPrivateAddress({family, bytes.data()});
  ADD_FAILURE() << text << " is not an address";
  return false;
}

TEST(PrivateAddress, IsEveryAddressThatIsNotOfThePublicInternet) {
  for (const char* text : {"0.0.0.0",
                           "10.1.2.3",
                           "100.64.0.1",
                           "127.0.0.1",
                           "127.255.0.1",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "198.18.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::ffff:127.0.0.1",
                           "::ffff:169.254.169.254",
                           "::7f00:1",
                           "64:ff9b::a00:1",
                           "2002:7f00:1::",
                           "fe80::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1"})
    EXPECT_TRUE(IsPrivate(text)) << text;
  for (const char* text :
       {"1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1", "223.255.255.255",
        "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"})
    EXPECT_FALSE(IsPrivate(text)) << text;
  EXPECT_TRUE(IsPrivateAddress({AF_UNIX, nullptr}));
}

}  // namespace
}  // namespace riseml::oci
