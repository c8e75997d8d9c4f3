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

// One command as completion sees it; made from the parser, so that both always agree.
struct Entry {
  std::vector<std::string> paths;  // "", or all ways to write it: "environment rm", "env rm"
  std::vector<cmdline::Command> subcommands;
  std::vector<cmdline::OptionInfo> options;  // without positional arguments
  std::string values;  // shell command that prints what an argument may be; empty: anything, or none
};

// The command that prints the values of an argument; empty: any, or none.
std::string ValuesOf(const std::string& path, const std::string& type) {
  if (type == "ID") return path == "kill" || path == "wait" ? "riseml status -q" : "riseml status -a -q -n 20";
  if (type == "KEY") return "riseml environment list -q";
  if (type == "SHELL") return "echo bash zsh fish";
  if (type == "NAME" && absl::StartsWith(path, "user ")) return "riseml user list -q";
  if (type == "NAME" && path == "project rm") return "riseml project list -q";
  return type == "NAME" && path == "secret rm" ? "riseml secret list -q" : "";
}

void Collect(const cmdline::Command app, const std::vector<std::string>& paths, std::vector<Entry>* out) {
  Entry entry = {.paths = paths, .subcommands = app.commands()};
  for (cmdline::OptionInfo& option : app.options()) {
    const bool positional = option.short_names.empty() && option.long_names.empty();
    if (positional && entry.values.empty()) entry.values = ValuesOf(paths.front(), option.type);
    if (!positional) entry.options.push_back(std::move(option));
  }
  out->push_back(std::move(entry));
  for (const cmdline::Command& sub : app.commands()) {
    std::vector<std::string> names = sub.aliases(), below;
    names.insert(names.begin(), sub.name());
    for (const std::string& path : paths)
      for (const std::string& name : names) below.push_back(path.empty() ? name : absl::StrCat(path, " ", name));
    Collect(sub, below, out);
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

// The patterns of a branch of `case`.
std::string Patterns(const Entry& entry) {
  std::vector<std::string> quoted;
  for (const std::string& path : entry.paths) quoted.push_back(Quoted(path));
  return absl::StrJoin(quoted, " | ");
}

// Options that take a value, which bash completes as a file name.
std::string ValuedWords(const Entry& entry) {
  std::vector<std::string> words;
  for (const cmdline::OptionInfo& option : entry.options) {
    if (!option.takes_value) continue;
    for (std::string& word : OptionWords(option)) words.push_back(std::move(word));
  }
  return absl::StrJoin(words, " ");
}

// Finds the typed command, in bash and in zsh with bash-style arrays.
std::string BashBody(const std::vector<Entry>& entries) {
  std::string out =
      "_riseml() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local typed='' words='' valued='' values='' i word\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"${typed:+$typed }$word\" in\n"
      "      ";
  std::vector<std::string> all;
  for (const Entry& entry : entries) {
    if (!entry.paths.front().empty()) all.push_back(Patterns(entry));
  }
  absl::StrAppend(&out, absl::StrJoin(all, " | "), ") typed=\"${typed:+$typed }$word\" ;;\n    esac\n  done\n",
                  "  case \"$typed\" in\n");
  for (const Entry& entry : entries) {
    absl::StrAppend(&out, "    ", Patterns(entry), ") words=", Quoted(Words(entry)),
                    "; valued=", Quoted(ValuedWords(entry)), "; values=", Quoted(entry.values), " ;;\n");
  }
  return absl::StrCat(out,
                      "  esac\n"
                      "  COMPREPLY=()\n"
                      "  if [[ \" $valued \" == *\" $previous \"* ]]; then return; fi\n"
                      "  if [[ -n $values && $current != -* ]]; then\n"
                      "    words=\"$(eval \"$values\" 2>/dev/null)\"\n"
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

// The lines for one spelling of a command.
std::string FishLines(const Entry& entry, const std::string& path) {
  const std::string when = path.empty() ? "__fish_use_subcommand" : absl::StrCat("__riseml_at ", path);
  std::string out;
  for (const cmdline::Command& sub : entry.subcommands) {
    absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when), " -a ", sub.name(), " -d ", Quoted(sub.description()),
                    "\n");
  }
  for (const cmdline::OptionInfo& option : entry.options) {
    absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when));
    for (const std::string& name : option.short_names) absl::StrAppend(&out, " -s ", name);
    for (const std::string& name : option.long_names) absl::StrAppend(&out, " -l ", name);
    const bool file = option.type == "FILE" || option.type == "DIR";
    if (option.takes_value) absl::StrAppend(&out, file ? " -r -F" : " -x");
    absl::StrAppend(&out, " -d ", Quoted(option.description), "\n");
  }
  if (!entry.values.empty())
    absl::StrAppend(&out, "complete -c riseml -n ", Quoted(when), " -a ",
                    Quoted(absl::StrCat("(", entry.values, " 2>/dev/null | string split ' ')")), "\n");
  return out;
}

std::string Fish(const std::vector<Entry>& entries) {
  std::string out =
      "# fish completion of riseml; load it with: riseml completion fish | source\n"
      "function __riseml_at\n  set -l words (commandline -opc)\n  set -e words[1]\n"
      "  set -l path (string match -rv '^-' -- $words)\n"
      "  test (count $argv) -le (count $path); or return 1\n"
      "  for i in (seq (count $argv))\n    test $argv[$i] = $path[$i]; or return 1\n  end\nend\n"
      "complete -c riseml -f\n";
  for (const Entry& entry : entries) {
    for (const std::string& path : entry.paths) absl::StrAppend(&out, FishLines(entry, path));
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
      Collect(app, {""}, &entries);
      session.Print(*shell == "bash" ? Bash(entries) : *shell == "zsh" ? Zsh(entries) : Fish(entries));
      return kExitOk;
    };
  });
}

}  // namespace riseml::cli
