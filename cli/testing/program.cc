#include "cli/testing/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace riseml::cli {

Program::Program(const std::string& path, const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& variables, const std::string& directory,
                 const std::string& input, bool terminal)
    : directory_(directory) {
  std::string err_pattern = "/tmp/riseml-stderr-XXXXXX", in_pattern = "/tmp/riseml-stdin-XXXXXX";
  const int err = mkostemp(err_pattern.data(), O_CLOEXEC);
  const int in = mkostemp(in_pattern.data(), O_CLOEXEC);
  err_path_ = err_pattern;
  if (write(in, input.data(), input.size()) != static_cast<ssize_t>(input.size())) abort();
  lseek(in, 0, SEEK_SET);
  unlink(in_pattern.c_str());
  int pipe_fds[2];
  if ((terminal ? openpty(&pipe_fds[0], &pipe_fds[1], nullptr, nullptr, nullptr) : pipe2(pipe_fds, O_CLOEXEC)) != 0)
    abort();
  fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
  fcntl(pipe_fds[1], F_SETFD, FD_CLOEXEC);
  std::vector<std::string> words = {path}, settings;
  words.insert(words.end(), arguments.begin(), arguments.end());
  for (const auto& [name, value] : variables) settings.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& setting : settings) envp.push_back(setting.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    if (chdir(directory_.c_str()) != 0) _exit(127);
    dup2(in, 0);
    dup2(pipe_fds[1], 1);
    dup2(err, 2);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(pipe_fds[1]);
  close(err);
  close(in);
  out_fd_ = pipe_fds[0];
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_fd_ >= 0) close(out_fd_);
  unlink(err_path_.c_str());
}

bool Program::ReadUntil(const std::string& text) {
  char buffer[4096];
  while (out_.find(text) == std::string::npos) {
    const ssize_t n = read(out_fd_, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    out_.append(buffer, static_cast<std::size_t>(n));
  }
  return true;
}

void Program::Signal(int signal) { kill(pid_, signal); }

Finished Program::Finish() {
  char buffer[4096];
  ssize_t n;
  while ((n = read(out_fd_, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) out_.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  std::ostringstream err;
  err << std::ifstream(err_path_).rdbuf();
  return Finished{
      .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), .out = out_, .err = err.str()};
}

}  // namespace riseml::cli
