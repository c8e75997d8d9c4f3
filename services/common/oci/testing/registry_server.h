// A registry of a test's own: Debian's docker-registry on a port that the system chose, with a temporary directory.
#pragma once

#include <sys/types.h>

#include <string>

namespace riseml::oci::testing {

class RegistryServer {
 public:
  // Starts the server; a test that cannot have one aborts with what went wrong. `auth` is the section "auth" of its
  // configuration in YAML, in which FILE stands for a file with the content `auth_file`; empty: everybody may do
  // everything.
  explicit RegistryServer(const std::string& auth = "", const std::string& auth_file = "");
  ~RegistryServer();
  RegistryServer(const RegistryServer&) = delete;
  RegistryServer& operator=(const RegistryServer&) = delete;

  const std::string& host() const { return host_; }  // "127.0.0.1:PORT"
  const std::string& directory() const { return dir_; }

 private:
  std::string dir_;
  std::string host_;
  pid_t pid_ = -1;
};

}  // namespace riseml::oci::testing
