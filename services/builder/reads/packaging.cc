#include "services/builder/reads/packaging.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/builder/reads/shell_words.h"

namespace riseml::builder {
namespace {

constexpr std::size_t kMaxPerhaps = 300;
// Words that show that a build depends on sources, or on a program of the project that runs during the build.
constexpr absl::string_view kCompiles[] = {
    "ext_modules",  "Extension(",  "cythonize",         "CUDAExtension",     "CppExtension", "rust_extensions",
    "cffi_modules", "ext-modules", "maturin",           "scikit_build_core", "mesonpy",      "skbuild",
    "cmdclass",     "build-hooks", "hatch.build.hooks", "poetry.build",      "pdm.build",    "backend-path",
    "rglob(",       "os.walk",     "os.listdir",        "iterdir(",          "glob("};

std::string DirectoryOf(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? "" : path.substr(0, slash));
}

void Insert(std::set<std::string>& set, absl::string_view directory, absl::string_view path) {
  std::string located;
  if (path.empty() || path[0] == '/' || !Locate(directory, path, &located)) return;
  set.insert(located);
}

// Inserts the target of a requirement file: pip resolves it from its working directory, uv from the file's own.
void InsertTarget(std::set<std::string>& set, absl::string_view directory, absl::string_view path) {
  Insert(set, directory, path);
  Insert(set, "", path);
}

// Returns the local path that a line of a requirement file installs; nullopt for a package of an index.
std::optional<std::string> LocalTarget(absl::string_view line) {
  const std::size_t at = line.find("@ file:");
  if (at != absl::string_view::npos) line.remove_prefix(at + 2);
  line = line.substr(0, line.find(" ;"));
  line = line.substr(0, line.find(" --"));
  const bool url = absl::ConsumePrefix(&line, "file:");
  if (url) {
    absl::ConsumePrefix(&line, "//");
    if (absl::ConsumePrefix(&line, "/code")) absl::ConsumePrefix(&line, "/");
    if (line.empty()) line = ".";
  }
  line = absl::StripAsciiWhitespace(line);
  if (url) line = line.substr(0, line.find('#'));  // #egg=NAME
  if (url && line.empty()) line = ".";
  if (!url && absl::StrContains(line, "://")) return std::nullopt;
  const std::size_t extras = line.find('[');
  const absl::string_view path = line.substr(0, extras);
  const bool archive = absl::EndsWith(path, ".whl") || absl::EndsWith(path, ".tar.gz") ||
                       absl::EndsWith(path, ".zip") || absl::EndsWith(path, ".tgz") || absl::EndsWith(path, ".tar.bz2");
  if (!url && !archive && !absl::StartsWith(path, ".") && !absl::StrContains(path, "/")) return std::nullopt;
  return std::string(path);
}

bool IsPathCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || absl::StrContains("_./-+", std::string(1, c));
}

// Maximal runs of path characters.
std::vector<std::string> Tokens(absl::string_view text) {
  std::vector<std::string> tokens;
  std::string token;
  for (const char c : text) {
    if (IsPathCharacter(static_cast<unsigned char>(c))) {
      token += c;
    } else if (!token.empty()) {
      tokens.push_back(std::move(token));
      token.clear();
    }
  }
  if (!token.empty()) tokens.push_back(std::move(token));
  return tokens;
}

bool MayBeFile(absl::string_view token) {
  if (token.size() < 2 || token.size() > 300) return false;
  if (std::ranges::all_of(token, [](unsigned char c) { return absl::ascii_isdigit(c) || c == '.' || c == '-'; }))
    return false;
  if (absl::StrContains(token, ".") || absl::StrContains(token, "/")) return true;
  return std::ranges::all_of(token, [](unsigned char c) { return absl::ascii_isupper(c) || c == '_'; });
}

// Joins consecutive quoted texts with a comma or slash between them: "a", "b.py" is a/b.py.
void AddJoinedLiterals(absl::string_view directory, absl::string_view text, NamedThings* named) {
  const std::vector<absl::string_view> pieces = absl::StrSplit(text, absl::ByAnyChar("'\""));
  std::string joined;
  for (std::size_t i = 1; i < pieces.size(); i += 2) {
    const bool follows = i >= 3 && (absl::StripAsciiWhitespace(pieces[i - 1]) == "," ||
                                    absl::StripAsciiWhitespace(pieces[i - 1]) == "/");
    joined = follows && joined.size() < 300 ? absl::StrCat(joined, "/", pieces[i]) : std::string(pieces[i]);
    if (follows && named->perhaps.size() < kMaxPerhaps && std::ranges::all_of(joined, IsPathCharacter))
      Insert(named->perhaps, directory, joined);
  }
}

// Adds the file of a module at each of the usual places of packages.
void AddModule(absl::string_view directory, absl::string_view module, NamedThings* named) {
  const std::string path = absl::StrReplaceAll(module, {{".", "/"}});
  for (const char* root : {"", "src/"})
    for (const char* suffix : {".py", "/__init__.py"})
      Insert(named->perhaps, directory, absl::StrCat(root, path, suffix));
}

// Adds the modules of "attr = pkg.__version__", and the imports of setup.py.
void AddModules(absl::string_view directory, absl::string_view file, absl::string_view text, NamedThings* named) {
  const std::vector<std::string> tokens = Tokens(text);
  for (std::size_t i = 0; i + 1 < tokens.size() && named->perhaps.size() < kMaxPerhaps; ++i) {
    const std::string& next = tokens[i + 1];
    if (tokens[i] == "attr" && absl::StrContains(next, "."))
      AddModule(directory, next.substr(0, next.rfind('.')), named);
    if (file == "setup.py" && (tokens[i] == "import" || tokens[i] == "from")) AddModule(directory, next, named);
  }
}

// Adds `path = "…"` of dependencies, and the members of a workspace.
void AddTomlDependencies(absl::string_view directory, absl::string_view text, NamedThings* named) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::string_view rest = line;
    const std::string squeezed = absl::StrReplaceAll(line, {{" ", ""}, {"'", "\""}});
    const bool editable = absl::StrContains(squeezed, "editable=true") || absl::StrContains(squeezed, "develop=true");
    for (const absl::string_view key : {"path=\"", "file:", "url=\"file:", "editable=\"", "directory=\""}) {
      const std::size_t at = absl::string_view(squeezed).find(key);
      if (at == std::string::npos) continue;
      std::string value = squeezed.substr(at + key.size());
      value = value.substr(0, value.find_first_of("\"#;,"));
      if (value.empty()) continue;
      const bool in_place = editable || key == "editable=\"";
      if (absl::StartsWith(value, "///code/")) value = value.substr(8);
      Insert(in_place ? named->projects : named->files, directory, value);
    }
    if (absl::StrContains(line, "*"))
      for (const absl::string_view literal : absl::StrSplit(rest, absl::ByAnyChar("'\"")))
        if (absl::EndsWith(literal, "/*")) Insert(named->members, directory, literal.substr(0, literal.size() - 2));
  }
  // Workspace members that are named one by one.
  const std::size_t members = text.find("members");
  if (members == absl::string_view::npos) return;
  const absl::string_view list = text.substr(members, text.find(']', members) - members);
  for (const absl::string_view literal : absl::StrSplit(list, absl::ByAnyChar("'\"")))
    if (std::ranges::all_of(literal, IsPathCharacter)) Insert(named->projects, directory, literal);
}

}  // namespace

std::vector<std::string> PackagingFiles() { return {"pyproject.toml", "setup.py", "setup.cfg", "MANIFEST.in"}; }

NamedThings NamedInRequirements(absl::string_view path, absl::string_view text) {
  NamedThings named;
  const std::string directory = DirectoryOf(path);
  if (absl::EndsWith(path, ".lock") || absl::EndsWith(path, ".toml") || absl::EndsWith(path, "Pipfile")) {
    AddTomlDependencies(directory, text, &named);
    return named;
  }
  const std::string joined = absl::StrReplaceAll(text, {{"\\\r\n", " "}, {"\\\n", " "}});
  for (absl::string_view line : absl::StrSplit(joined, absl::ByAnyChar("\r\n"), absl::SkipEmpty())) {
    line = absl::StripAsciiWhitespace(line);
    absl::ConsumePrefix(&line, "- ");  // conda's lists
    line = absl::StripAsciiWhitespace(line);
    if (line.size() > 1 && (line.front() == '"' || line.front() == '\'')) line = line.substr(1, line.size() - 2);
    if (line.empty() || line[0] == '#') continue;
    line = line.substr(0, line.find(" #"));
    bool done = false;
    for (const absl::string_view option :
         {"--requirement", "--constraint", "-r", "-c", "--editable", "-e", "--find-links", "-f"}) {
      absl::string_view value = line;
      if (!absl::ConsumePrefix(&value, option)) continue;
      absl::ConsumePrefix(&value, "=");
      value = absl::StripAsciiWhitespace(value);
      const bool editable = option == "--editable" || option == "-e";
      if (editable) {
        if (const auto target =
                LocalTarget(absl::StrContains(value, "/") ? std::string(value) : absl::StrCat("./", value)))
          InsertTarget(named.projects, directory, *target);
      } else if (!absl::StrContains(value, "://")) {
        {
          const bool links = option == "--find-links" || option == "-f";
          links ? InsertTarget(named.files, directory, value) : Insert(named.requirements, directory, value);
        }
      }
      done = true;
      break;
    }
    if (done || line[0] == '-') continue;
    if (const auto target = LocalTarget(line)) InsertTarget(named.files, directory, *target);
  }
  return named;
}

NamedThings NamedInPackaging(absl::string_view directory, absl::string_view file, absl::string_view text) {
  NamedThings named;
  for (const absl::string_view word : kCompiles) {
    if (!absl::StrContains(text, word)) continue;
    named.everything_because = absl::StrCat("`", file, "` has `", word, "`: what it builds depends on further files");
    return named;
  }
  for (const std::string& token : Tokens(text))
    if (MayBeFile(token) && named.perhaps.size() < kMaxPerhaps) Insert(named.perhaps, directory, token);
  AddModules(directory, file, text, &named);
  if (file == "setup.py") AddJoinedLiterals(directory, text, &named);
  if (absl::EndsWith(file, ".toml")) AddTomlDependencies(directory, text, &named);
  return named;
}

}  // namespace riseml::builder
