// A PostgreSQL server of a test's own: temporary directory, unix socket, no network. As root it runs as user
// `postgres`.
#pragma once

#include <sys/types.h>

#include <string>

namespace riseml::fixtures {

class Postgres {
 public:
  // Starts the server; a test that cannot have one aborts with what went wrong.
  Postgres();
  ~Postgres();

  // Connection string of a new, empty database.
  std::string NewDatabase();

  // What the server has logged so far.
  std::string Log() const;

  // Kills the server (SIGKILL) and starts it again.
  void Crash();

 private:
  void Start();
  void Stop(int signal);
  std::string Connection(const std::string& database) const;
  std::string dir_;
  pid_t pid_ = -1;
  int databases_ = 0;
};

}  // namespace riseml::fixtures
