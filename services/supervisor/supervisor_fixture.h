// Fixture with the real riseml-supervisor and PostgreSQL, and fakes of the services.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/client_config/client_config.h"
#include "services/supervisor/install/service_configs.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/probe.h"

namespace riseml::supervisor {

struct Result {
  int exit_code = -1;
  std::string output;  // standard output and error
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() {
    char pattern[] = "/tmp/riseml-supervisor-XXXXXX";
    root_ = mkdtemp(pattern);
    chmod(root_.c_str(), 0755);
    dir_ = root_ + "/installation";
    bin_ = root_ + "/bin";
    std::filesystem::create_directories(bin_);
    std::filesystem::create_directories(root_ + "/home");
    std::filesystem::create_directories(root_ + "/clients/python/riseml");
    EXPECT_TRUE(WriteFileAtomically(root_ + "/clients/python/riseml/__init__.py", "").ok());
    for (const ServiceInfo& service : kServices) Install(service.program);
    Install("riseml-job");
  }

  ~SupervisorTest() override {
    if (std::filesystem::exists(dir_)) Run("down");
    std::filesystem::remove_all(root_);
  }

  void Install(absl::string_view program) {
    const std::filesystem::path to = std::filesystem::path(bin_) / std::string(program);
    std::filesystem::remove(to);
    std::filesystem::copy_file(absl::StrCat(RISEML_TEST_BIN_DIR, "/riseml_fake_service"), to);
  }

  void SetMode(absl::string_view program, absl::string_view mode) {
    const std::string path = absl::StrCat(bin_, "/", program, ".mode");
    ASSERT_TRUE(WriteFileAtomically(path, mode, 0644).ok());
  }
  void ClearMode(absl::string_view program) { std::filesystem::remove(absl::StrCat(bin_, "/", program, ".mode")); }

  std::string ClientConfig() const { return root_ + "/home/.riseml/config"; }

  // `around` is a command that gets the supervisor's command line as its arguments and runs it; `options` end that
  // command line.
  Result Run(const std::string& verb, const std::vector<std::string>& around = {},
             const std::vector<std::string>& options = {}) {
    std::vector<std::string> argv = around;
    argv.insert(argv.end(), {"env", "-u", "RISEML_CONFIG", absl::StrCat("HOME=", root_, "/home"),
                             absl::StrCat(RISEML_TEST_BIN_DIR, "/riseml-supervisor"), verb, "--dir", dir_});
    if (verb == "up" || verb == "admin-key") argv.insert(argv.end(), {"--bin-dir", bin_});
    argv.insert(argv.end(), options.begin(), options.end());
    const absl::StatusOr<RunResult> result = RunAndWait(argv);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? Result{result->exit_code, result->output} : Result{};
  }

  void Up() {
    const Result result = Run("up");
    ASSERT_EQ(result.exit_code, 0) << result.output << Logs();
  }

  std::string Logs() {
    return absl::StrCat("\nsupervisor.log:\n", ReadFile(dir_ + "/logs/supervisor.log", 1 << 20).value_or("absent"));
  }

  int PidOf(absl::string_view name) {
    int pid = 0;
    const auto text = ReadFile(absl::StrCat(dir_, "/run/", name, ".pid"), 100);
    return text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &pid) ? pid : 0;
  }

  std::map<std::string, int> AllPids() {
    std::map<std::string, int> pids = {{std::string(kDatabase), PidOf(kDatabase)}, {std::string(kEdge), PidOf(kEdge)}};
    for (const ServiceInfo& service : kServices) pids[std::string(service.name)] = PidOf(service.name);
    return pids;
  }

  static riseml::ClientConfig AnotherInstallation() {
    riseml::ClientConfig other;
    other.cluster_id = "another";
    other.api_address = "cluster.example.org:443";
    other.ca_pem = "-----BEGIN CERTIFICATE-----\n";
    other.user = "paul";
    other.api_key = "rml_other";
    return other;
  }

  int PortOfUsers() { return LoadState({dir_, dir_})->ports().at("api.user"); }

  // Returns a socket bound to the loopback port; invalid if the port is in use.
  static UniqueFd Bind(int port) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.Reset();
    return fd;
  }

  // Checks the health of a user listener at its port.
  absl::Status HealthOf(absl::string_view listener) {
    const absl::StatusOr<ProbeKeys> keys = LoadProbeKeys(SupervisorTls({dir_, dir_}));
    if (!keys.ok()) return keys.status();
    std::promise<absl::Status> answer;
    Prober(*keys).Ask(AddressOf(*LoadState({dir_, dir_}), listener), ListenerRole::kUser, absl::Seconds(10),
                      [&answer](absl::Status status) { answer.set_value(std::move(status)); });
    return answer.get_future().get();
  }

  void KillHard(absl::string_view name) {
    const int pid = PidOf(name);
    ASSERT_GT(pid, 0);
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    Eventually([&] { return !riseml::Identify(pid).ok(); }, "it is gone");
  }

  void Eventually(const std::function<bool()>& happened, absl::string_view what) {
    const SystemClock clock;
    const absl::Time limit = clock.Now() + absl::Seconds(60);
    while (!happened()) {
      ASSERT_LT(clock.Now(), limit) << "never happened: " << what << Logs();
      poll(nullptr, 0, 20);
    }
  }

  std::string root_, dir_, bin_;
};

}  // namespace riseml::supervisor
