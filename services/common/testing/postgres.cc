#include "services/common/testing/postgres.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <pqxx/pqxx>
#include <thread>
#include <vector>

namespace riseml::fixtures {
namespace {

constexpr char kBin[] = "/usr/lib/postgresql/15/bin/";

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "test PostgreSQL: %s\n", what.c_str());
  std::abort();
}

// Starts a program as a user who is not root; output goes to `log`.
pid_t Spawn(const std::vector<std::string>& command, const std::string& log) {
  const passwd* user = geteuid() == 0 ? getpwnam("postgres") : nullptr;
  if (geteuid() == 0 && user == nullptr) Fail("no user `postgres`; install postgresql-15");
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (user != nullptr && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(fd, 1);
  dup2(fd, 2);
  if (chdir("/") != 0) _exit(126);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

Postgres::Postgres() {
  char pattern[] = "/tmp/riseml-pg-XXXXXX";
  dir_ = mkdtemp(pattern);
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr || chown(dir_.c_str(), user->pw_uid, user->pw_gid) != 0) Fail("chown " + dir_);
  }
  const pid_t pid = Spawn({std::string(kBin) + "initdb", "-D", dir_ + "/data", "--no-locale", "-E", "UTF8", "-A",
                           "trust", "-U", "postgres", "--no-sync"},
                          dir_ + "/log");
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) Fail("initdb failed, see " + dir_ + "/log");
  Start();
}

std::string Postgres::Connection(const std::string& database) const {
  return "host=" + dir_ + " port=5432 user=postgres dbname=" + database;
}

// A server whose predecessor was killed ends at once while processes of that one are still ending; it is started again.
void Postgres::Start() {
  const auto spawn = [this] {
    return Spawn({std::string(kBin) + "postgres", "-D", dir_ + "/data", "-c", "listen_addresses=", "-c",
                  "unix_socket_directories=" + dir_, "-c", "port=5432", "-c", "fsync=off", "-c", "shared_buffers=32MB"},
                 dir_ + "/log");
  };
  pid_ = spawn();
  for (int i = 0; i < 3000; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = spawn();
    try {
      pqxx::connection connection(Connection("postgres"));
      pqxx::nontransaction tx(connection);
      if (tx.exec1("SHOW data_directory")[0].as<std::string>() != dir_ + "/data") Fail("another server answers");
      return;
    } catch (const pqxx::failure&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  Fail("does not start, see " + dir_ + "/log");
}

void Postgres::Stop(int signal) {
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
}

void Postgres::Crash() {
  Stop(SIGKILL);
  Start();
}

std::string Postgres::NewDatabase() {
  const std::string name = "test" + std::to_string(++databases_);
  pqxx::connection connection(Connection("postgres"));
  pqxx::nontransaction(connection).exec("CREATE DATABASE " + name);
  return Connection(name);
}

std::string Postgres::Log() const {
  std::ifstream file(dir_ + "/log");
  return {std::istreambuf_iterator<char>(file), {}};
}

Postgres::~Postgres() {
  Stop(SIGINT);
  std::filesystem::remove_all(dir_);
}

}  // namespace riseml::fixtures
