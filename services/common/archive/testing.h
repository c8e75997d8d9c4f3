// Builds tar archives for tests, malicious ones included.
#pragma once

#include <string>
#include <vector>

namespace riseml {

// An entry of a tar archive, written as it is, valid or not.
struct TarEntry {
  std::string name, content;
  char type = '0';  // '0' file, '1' hard link, '2' symbolic link, '5' directory
  std::string target{};
  int mode = 0644;
};

// A tar archive of these entries in this order.
std::string MakeTar(const std::vector<TarEntry>& entries);

}  // namespace riseml
