// Command-line syntax of every program: commands, options, arguments, help. A thin layer over CLI11, whose headers take
// seconds to compile; only command_line.cc includes them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace riseml::cmdline {

// Handle of one option, flag or positional argument. Valid as long as its CommandLine. Each call returns the handle.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& Required();
  Option& Type(const char* name);  // shown in the help, e.g. "FILE"
  Option& ShowDefault();           // shows the present value of the variable in the help

  // `check` returns a complaint about a value, or "" if the value is good.
  Option& Check(std::function<std::string(const std::string&)> check);
  // Only these values are allowed. Upper case counts as lower case; the variable gets the value as listed.
  Option& OneOf(std::vector<std::string> values);
  Option& Excludes(const Option& other);

 private:
  CLI::Option* option_;
};

// Facts about an option for completion scripts.
struct OptionInfo {
  std::vector<std::string> short_names, long_names;  // without dashes; both empty for a positional argument
  std::string type, description;
  bool takes_value = false;
};

// Handle of one command, or of the whole program. Valid as long as its CommandLine.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  // A name is "-n,--name", or "name" for a positional argument. `variable` keeps its value when nothing is typed, and
  // must outlive the parsing.
  Option AddOption(const char* names, std::string& variable, const char* description);
  // Several values: one for each use of the option, or all positional arguments.
  Option AddOption(const char* names, std::vector<std::string>& variable, const char* description);
  // A whole number from 0 to 2^40.
  Option AddCount(const char* names, std::int64_t& variable, const char* description);
  Option AddFlag(const char* names, bool& variable, const char* description);
  // Prints `text` and ends the parsing.
  void AddVersion(const char* names, const std::string& text);

  Command AddCommand(const char* name, const char* description);
  // Another name for this command.
  void Alias(const char* name);
  std::vector<std::string> aliases() const;
  // Text below the help.
  void Footer(const std::string& text);
  // Requires that one of the added commands is typed; `optional`: allows it.
  void RequireCommand(bool optional = false);
  // Allows options of this command also behind commands that are added after this call.
  void InheritOptions();

  // Calls `callback` once everything is parsed, if this command was typed.
  void OnTyped(std::function<void()> callback);
  bool typed() const;

  std::string name() const;
  std::string description() const;
  std::vector<Command> commands() const;
  std::vector<OptionInfo> options() const;

 private:
  CLI::App* app_;
};

// Result of parsing.
struct Parsed {
  enum class Kind { kRun, kInformation, kError };
  Kind kind = Kind::kRun;
  std::string text;     // the help or version that was asked for, or what is wrong, without line end
  std::string command;  // the program and its commands as typed, e.g. "riseml user create"
};

// The command line of a program. Lives on one thread.
class CommandLine {
 public:
  CommandLine(const char* name, const char* description);
  ~CommandLine();

  Command& root() { return root_; }
  // Returns errors as values; never exits.
  Parsed Parse(int argc, char** argv);
  // As Parse, but prints help and version to standard output (exit code 0), errors to standard error (exit code 1), and
  // exits the process for both.
  void ParseOrExit(int argc, char** argv);
  // Help of the innermost group that was typed.
  std::string Help() const;

 private:
  std::unique_ptr<CLI::App> app_;
  Command root_;
};

}  // namespace riseml::cmdline
