#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/commands/commands.h"

namespace riseml::cli {
namespace {

// One command as completion sees it; made from the parser, so that it cannot lag behind.
struct Entry {
  std::string path;  // "", "user", "user login"
  std::vector<cmdline::Command> subcommands;
  std::vector<cmdline::OptionInfo> options;  // without positional arguments
  bool takes_id = false;
};

void Collect(const cmdline::Command app, const std::string& path, std::vector<Entry>* out) {
  Entry entry = {.path = path, .subcommands = app.commands()};
  for (cmdline::OptionInfo& option : app.options()) {
    const bool positional = option.short_names.empty() && option.long_names.empty();
    entry.takes_id |= positional && option.type == "ID";
    if (!positional) entry.options.push_back(std::move(option));
  }
  out->push_back(std::move(entry));
  for (const cmdline::Command& sub : app.commands()) {
    Collect(sub, path.empty() ? sub.name() : absl::StrCat(path, " ", sub.name()), out);
  }
}

std::vector<std::string> OptionWords(const cmdline::OptionInfo& option) {
  std::vector<std::string> words;
  for (const std::string& name : option.short_names) words.push_back(absl::StrCat("-", name));
  for (const std::string& name : option.long_names) words.push_back(absl::StrCat("--", name));
  return words;
}

std::string Words(const Entry& entry) {
  std::vector<std::string> words;
  for (const cmdline::Command& sub : entry.subcommands) words.push_back(sub.name());
  for (const cmdline::OptionInfo& option : entry.options) {
    for (std::string& word : OptionWords(option)) words.push_back(std::move(word));
  }
  return absl::StrJoin(words, " ");
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// Finds the command that is typed, in bash and in zsh with its arrays of bash.
std::string BashBody(const std::vector<Entry>& entries) {
  std::string out =
      "_riseml() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" typed='' words='' ids='' i word\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"${typed:+$typed }$word\" in\n"
      "      ";
  std::vector<std::string> paths;
  for (const Entry& entry : entries) {
    if (!entry.path.empty()) paths.push_back(Quoted(entry.path));
  }
  absl::StrAppend(&out, absl::StrJoin(paths, " | "), ") typed=\"${typed:+$typed }$word\" ;;\n    esac\n  done\n",
                  "  case \"$typed\" in\n");
  for (const Entry& entry : entries) {
    absl::StrAppend(&out, "    ", Quoted(entry.path), ") words=", Quoted(Words(entry)), entry.takes_id ? "; ids=1" : "",
                    " ;;\n");
  }
  return absl::StrCat(out,
                      "  esac\n"
                      "  if [[ -n $ids && $current != -* ]]; then\n"
                      "    words=\"$(riseml status -a -q -n 20 2>/dev/null)\"\n"
                      "  fi\n"
                      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                      "}\n");
}

std::string Bash(const std::vector<Entry>& entries) {
  return absl::StrCat("# bash completion of riseml; load it with: source <(riseml completion bash)\n",
                      BashBody(entries), "complete -o default -F _riseml riseml\n");
}

std::string Zsh(const std::vector<Entry>& entries) {
  return absl::StrCat("#compdef riseml\n# zsh completion of riseml; load it with: source <(riseml completion zsh)\n",
                      "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n",
                      BashBody(entries), "complete -o default -F _riseml riseml\n");
}

std::string Fish(const std::vector<Entry>& entries) {
  std::string out =
      "# fish completion of riseml; load it with: riseml completion fish | source\n"
      "function __riseml_ids\n  riseml status -a -q -n 20 2>/dev/null\nend\n"
      "function __riseml_at\n  set -l words (commandline -opc)\n  set -e words[1]\n"
      "  set -l path (string match -rv '^-' -- $words)\n"
      "  test (count $argv) -le (count $path); or return 1\n"
      "  for i in (seq (count $argv))\n    test $argv[$i] = $path[$i]; or return 1\n  end\nend\n"
      "complete -c riseml -f\n";
  for (const Entry& entry : entries) {
    const std::string when = entry.path.empty() ? "__fish_use_subcommand" : absl::StrCat("__riseml_at ", entry.path);
    for (const cmdline::Command& sub : entry.subcommands) {
      absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when), " -a ", sub.name(), " -d ",
                      Quoted(sub.description()), "\n");
    }
    for (const cmdline::OptionInfo& option : entry.options) {
      absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when));
      for (const std::string& name : option.short_names) absl::StrAppend(&out, " -s ", name);
      for (const std::string& name : option.long_names) absl::StrAppend(&out, " -l ", name);
      const bool file = option.type == "FILE" || option.type == "DIR";
      if (option.takes_value) absl::StrAppend(&out, file ? " -r -F" : " -x");
      absl::StrAppend(&out, " -d ", Quoted(option.description), "\n");
    }
    if (entry.takes_id) absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when), " -a '(__riseml_ids)'\n");
  }
  return out;
}

}  // namespace

void AddCompletion(cmdline::Command app, Plan& plan) {
  cmdline::Command command =
      AddCommand(app, "completion", "Print a script that completes commands, options and ids in a shell",
                 "  source <(riseml completion bash)\n"
                 "  riseml completion fish > ~/.config/fish/completions/riseml.fish");
  auto shell = std::make_shared<std::string>();
  command.AddOption("shell", *shell, "bash, zsh or fish").Required().OneOf({"bash", "zsh", "fish"}).Type("SHELL");
  command.OnTyped([app, &plan, shell] {
    plan.action = [app, shell](Session& session) -> absl::StatusOr<int> {
      std::vector<Entry> entries;
      Collect(app, "", &entries);
      session.Print(*shell == "bash" ? Bash(entries) : *shell == "zsh" ? Zsh(entries) : Fish(entries));
      return kExitOk;
    };
  });
}

}  // namespace riseml::cli
