#include "services/common/cmdline/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "services/common/base/nearest_name.h"

namespace riseml::cmdline {
namespace {

constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;
constexpr std::size_t kHelpColumn = 34;

std::string CheckCount(const std::string& text) {
  std::int64_t count = 0;
  const bool digits = !text.empty() && std::ranges::all_of(text, absl::ascii_isdigit);
  if (!digits) return absl::StrCat("'", text, "' is no count: write a whole number of 0 or more, e.g. 20");
  const bool small = absl::SimpleAtoi(text, &count) && count <= kMaxCount;
  return small ? "" : absl::StrCat("'", text, "' is too large");
}

// The innermost command that was typed, with its path.
std::pair<const CLI::App*, std::string> Innermost(const CLI::App& app) {
  const CLI::App* command = &app;
  std::string path = app.get_name();
  for (auto typed = app.get_subcommands(); !typed.empty(); typed = command->get_subcommands()) {
    command = typed.front();
    absl::StrAppend(&path, " ", command->get_name());
  }
  return {command, path};
}

// "; did you mean 'train'?", or nothing.
std::string DidYouMean(absl::string_view typed, const std::vector<std::string>& known, absl::string_view dashes = "") {
  const std::string nearest = NearestName(typed, known);
  return nearest.empty() ? nearest : absl::StrCat("; did you mean '", dashes, nearest, "'?");
}

std::vector<std::string> NamesOfCommands(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* const sub :
       command.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); }))
    names.push_back(sub->get_name());
  return names;
}

// Of the command and of those around it, without dashes.
std::vector<std::string> NamesOfOptions(const CLI::App* command) {
  std::vector<std::string> names;
  for (; command != nullptr; command = command->get_parent()) {
    for (const CLI::Option* const option : command->get_options())
      names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  }
  return names;
}

// A long word without a dot or slash may be a key; its beginning is enough to find it on the command line.
void AppendWithoutSecret(std::string* out, const std::string& word) {
  const bool may_be_key = word.size() > 24 && word.find_first_of("./ ") == std::string::npos;
  absl::StrAppend(out, may_be_key ? absl::StrCat(word.substr(0, 6), "…") : word);
}

// Complains about words that no command takes; empty: there are none.
std::string Unexpected(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining(/*recurse=*/true);
  if (rest.empty()) return "";
  const auto [command, path] = Innermost(app);
  const std::string& first = rest.front();
  if (absl::StartsWith(first, "-")) {
    const std::string option = first.substr(0, first.find('='));
    const absl::string_view name = absl::StripPrefix(option, "--");
    return absl::StrCat(path, " has no option '", option, "'", DidYouMean(name, NamesOfOptions(command), "--"));
  }
  const std::vector<std::string> commands = NamesOfCommands(*command);
  if (!commands.empty()) {
    return absl::StrCat(path, " has no command '", first, "'", DidYouMean(first, commands));
  }
  return absl::StrCat(path, " takes no ", rest.size() == 1 ? "such argument: '" : "such arguments: '",
                      absl::StrJoin(rest, "' '", AppendWithoutSecret), "'");
}

}  // namespace

Option& Option::Required() {
  option_->required();
  return *this;
}

Option& Option::Type(const char* name) {
  option_->type_name(name);
  return *this;
}

Option& Option::ShowDefault() {
  option_->capture_default_str();
  return *this;
}

Option& Option::Check(std::function<std::string(const std::string&)> check) {
  option_->check(std::move(check));
  return *this;
}

Option& Option::OneOf(std::vector<std::string> values) {
  const auto normalise = [values = std::move(values)](std::string& text) -> std::string {
    const std::string lower = absl::AsciiStrToLower(text);
    for (const std::string& value : values) {
      if (lower != value) continue;
      text = value;
      return "";
    }
    return absl::StrCat("'", text, "' is not one of ", absl::StrJoin(values, ", "));
  };
  option_->transform(CLI::Validator(normalise, ""));
  return *this;
}

Option& Option::Excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

Option Command::AddOption(const char* names, std::string& variable, const char* description) {
  return Option(app_->add_option(names, variable, description));
}

Option Command::AddOption(const char* names, std::vector<std::string>& variable, const char* description) {
  CLI::Option* const option = app_->add_option(names, variable, description);
  if (!option->get_positional()) option->allow_extra_args(false);
  return Option(option);
}

Option Command::AddCount(const char* names, std::int64_t& variable, const char* description) {
  return Option(app_->add_option(names, variable, description)->check(CheckCount)->type_name("N"));
}

Option Command::AddFlag(const char* names, bool& variable, const char* description) {
  return Option(app_->add_flag(names, variable, description));
}

void Command::AddVersion(const char* names, const std::string& text) {
  app_->set_version_flag(names, text, "Show the version and exit");
}

Command Command::AddCommand(const char* name, const char* description) {
  return Command(app_->add_subcommand(name, description));
}

void Command::Alias(const char* name) { app_->alias(name); }

std::vector<std::string> Command::aliases() const { return app_->get_aliases(); }

void Command::Footer(const std::string& text) { app_->footer(text); }

void Command::RequireCommand(bool optional) { app_->require_subcommand(optional ? 0 : 1, 1); }

void Command::InheritOptions() { app_->fallthrough(); }

void Command::OnTyped(std::function<void()> callback) { app_->callback(std::move(callback)); }

bool Command::typed() const { return app_->parsed(); }

std::string Command::name() const { return app_->get_name(); }

std::string Command::description() const { return app_->get_description(); }

std::vector<Command> Command::commands() const {
  std::vector<Command> out;
  for (CLI::App* const sub :
       app_->get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); }))
    out.emplace_back(sub);
  return out;
}

std::vector<OptionInfo> Command::options() const {
  std::vector<OptionInfo> out;
  for (const CLI::Option* const option : app_->get_options(nullptr)) {
    out.push_back({.short_names = option->get_snames(),
                   .long_names = option->get_lnames(),
                   .type = option->get_type_name(),
                   .description = option->get_description(),
                   .takes_value = option->get_expected_max() > 0});
  }
  return out;
}

CommandLine::CommandLine(const char* name, const char* description)
    : app_(std::make_unique<CLI::App>(description, name)), root_(app_.get()) {
  app_->get_formatter()->column_width(kHelpColumn);
  app_->set_help_flag("-h,--help", "Show help and exit");
}

CommandLine::~CommandLine() = default;

Parsed CommandLine::Parse(int argc, char** argv) {
  Parsed parsed;
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      std::ostringstream out;
      app_->exit(error, out, out);
      parsed.kind = Parsed::Kind::kInformation;
      parsed.text = out.str();
    } else {
      parsed.kind = Parsed::Kind::kError;
      // An unexpected word comes before a missing command: the word was meant as that command.
      const std::string unexpected = Unexpected(*app_);
      parsed.text = unexpected.empty() ? error.what() : unexpected;
      if (unexpected.empty() && error.get_name() == "RequiredError")
        parsed.text = absl::StrCat("something is missing: ", error.what());
    }
  }
  parsed.command = Innermost(*app_).second;
  return parsed;
}

void CommandLine::ParseOrExit(int argc, char** argv) {
  const Parsed parsed = Parse(argc, argv);
  if (parsed.kind == Parsed::Kind::kRun) return;
  const bool information = parsed.kind == Parsed::Kind::kInformation;
  if (information) {
    std::fputs(parsed.text.c_str(), stdout);
  } else {
    std::fprintf(stderr, "ERROR: %s\n       See: %s --help\n", parsed.text.c_str(), parsed.command.c_str());
  }
  std::exit(information ? 0 : 1);
}

std::string CommandLine::Help() const {
  const auto typed = app_->get_subcommands();
  return typed.empty() ? app_->help() : typed.front()->help(app_->get_name());
}

}  // namespace riseml::cmdline
