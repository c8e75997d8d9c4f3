#include "services/common/oci/testing/registry_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace riseml::oci::testing {
namespace {

constexpr char kProgram[] = "/usr/bin/docker-registry";

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "test registry: %s\n", what.c_str());
  std::abort();
}

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Returns the address that the server says it listens on; empty: it does not say so yet.
std::string AddressIn(const std::string& log) {
  constexpr char kSays[] = "listening on ";
  const std::size_t at = log.find(kSays);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + sizeof(kSays) - 1;
  const std::size_t end = log.find_first_not_of("0123456789.:", begin);
  return end == std::string::npos ? "" : log.substr(begin, end - begin);
}

}  // namespace

RegistryServer::RegistryServer(const std::string& auth, const std::string& auth_file) {
  if (access(kProgram, X_OK) != 0) Fail("docker-registry is not installed; run ./dev setup");
  char pattern[] = "/tmp/riseml-registry-XXXXXX";
  dir_ = mkdtemp(pattern);
  std::ofstream(dir_ + "/auth") << auth_file;
  std::string config = "version: 0.1\nlog: {level: info}\nstorage:\n  filesystem: {rootdirectory: " + dir_ +
                       "/data}\n  delete: {enabled: true}\nhttp: {addr: '127.0.0.1:0'}\n";
  if (!auth.empty()) config += "auth: {" + auth + "}\n";
  if (const std::size_t at = config.find("FILE"); at != std::string::npos) config.replace(at, 4, dir_ + "/auth");
  std::ofstream(dir_ + "/config.yml") << config;
  const std::string log = dir_ + "/log", file = dir_ + "/config.yml";
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, 1);
    dup2(fd, 2);
    execl(kProgram, kProgram, "serve", file.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 3000 && host_.empty(); ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) Fail("it ended: " + Content(log));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    host_ = AddressIn(Content(log));
  }
  if (host_.empty()) Fail("it does not start: " + Content(log));
}

RegistryServer::~RegistryServer() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  std::filesystem::remove_all(dir_);
}

}  // namespace riseml::oci::testing
