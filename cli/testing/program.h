// Runs the real program and looks at what it prints.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace riseml::cli {

struct Finished {
  int exit_code = -1;  // 128 + signal when one ended it
  std::string out, err;
};

// A started program; ended and waited for when it goes out of scope.
class Program {
 public:
  // `variables` is the whole environment. Standard input is `input`. With `terminal`, standard output is one.
  Program(const std::string& path, const std::vector<std::string>& arguments,
          const std::map<std::string, std::string>& variables, const std::string& directory,
          const std::string& input = "", bool terminal = false);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Reads standard output until it holds `text`, or ends; true when it does.
  bool ReadUntil(const std::string& text);
  void Signal(int signal);
  Finished Finish();

 private:
  std::string directory_;
  pid_t pid_ = -1;
  int out_fd_ = -1;
  std::string out_;
  std::string err_path_;
};

}  // namespace riseml::cli
