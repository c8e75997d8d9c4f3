#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdint>

#include "services/common/oci/curl_http.h"

namespace riseml::oci {
namespace {

struct Ipv4Range {
  std::uint32_t first;
  int bits;
};

// Special-purpose ranges of IANA's registry that do not lead to hosts of the public internet.
constexpr Ipv4Range kNotPublic[] = {
    {0x00000000, 8},   // this network
    {0x0A000000, 8},   // private
    {0x64400000, 10},  // shared by carriers
    {0x7F000000, 8},   // loopback
    {0xA9FE0000, 16},  // link-local, with the metadata services of clouds
    {0xAC100000, 12},  // private
    {0xC0000000, 24},  // protocol assignments
    {0xC0A80000, 16},  // private
    {0xC6120000, 15},  // benchmarks
    {0xE0000000, 3},   // multicast, reserved, broadcast
};

std::uint32_t Ipv4(const unsigned char* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

bool IsPrivateIpv4(std::uint32_t address) {
  for (const Ipv4Range& range : kNotPublic)
    if ((address ^ range.first) >> (32 - range.bits) == 0) return true;
  return false;
}

bool AllZero(const unsigned char* bytes, int count) {
  for (int i = 0; i < count; ++i)
    if (bytes[i] != 0) return false;
  return true;
}

bool IsPrivateIpv6(const unsigned char* b) {
  // ::, ::1, IPv4-compatible and IPv4-mapped addresses.
  if (AllZero(b, 10) && ((b[10] == 0 && b[11] == 0) || (b[10] == 0xFF && b[11] == 0xFF)))
    return AllZero(b + 10, 2) ? true : IsPrivateIpv4(Ipv4(b + 12));
  if (b[0] == 0x00 && b[1] == 0x64 && b[2] == 0xFF && b[3] == 0x9B) return IsPrivateIpv4(Ipv4(b + 12));  // NAT64
  if (b[0] == 0x20 && b[1] == 0x02) return IsPrivateIpv4(Ipv4(b + 2));                                   // 6to4
  return (b[0] & 0xE0) != 0x20;  // only 2000::/3 is public
}

}  // namespace

bool IsPrivateAddress(const AddressView& address) {
  if (address.family == AF_INET) return IsPrivateIpv4(Ipv4(address.bytes));
  if (address.family == AF_INET6) return IsPrivateIpv6(address.bytes);
  return true;
}

}  // namespace riseml::oci
