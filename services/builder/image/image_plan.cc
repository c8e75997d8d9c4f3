#include "services/builder/image/image_plan.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/builder/environment/explain.h"
#include "services/builder/environment/sha256.h"
#include "services/builder/image/containerfile.h"

namespace riseml::builder {
namespace {

using internal::v1::DecidingInput;

// Copies what the steps read, so that other files do not come into the image, where they would outlive their removal
// from the code. `riseml_copy` takes paths that are files, links or directories with their content.
constexpr char kCollect[] = R"sh(mkdir -p "$HOME/context"
riseml_copy() {
  for riseml_path; do
    if [ -e "$riseml_path" ] || [ -L "$riseml_path" ]; then cp -a --parents -- "$riseml_path" "$HOME/context/" || exit; fi
  done
}
)sh";

// Copies all files of directories that are installed editable: tools look for packages in them. Their content decides
// nothing, so the image is to lose them again; `passing` lists them.
constexpr char kCollectProjects[] = R"sh(mkdir -p "$HOME/settings"
riseml_projects() {
  find "$@" -name .git -prune -o ! -type d ! -path ./riseml.yml -print | while IFS= read -r riseml_path; do
    if [ ! -e "$HOME/context/$riseml_path" ] && [ ! -L "$HOME/context/$riseml_path" ]; then printf '%s\n' "$riseml_path"; fi
  done > "$HOME/settings/passing"
  xargs -r -d '\n' cp -a --parents -t "$HOME/context" -- < "$HOME/settings/passing"
}
)sh";

// Passes the settings for proxies, package indexes and certificates on to the steps. `riseml_mounts` are options that
// mount the settings, and the files and directories that they name, which the steps see below /run/riseml-files.
// `riseml_awk` is an awk that passes lines on at once.
constexpr char kSettings[] = R"sh(mkdir -p "$HOME/settings"
: > "$HOME/settings/variables"
: > "$HOME/settings/names"
riseml_mounts="-v $HOME/settings:/run/riseml-settings:ro"
# A program that says why there are no results; later steps have the variables of earlier ones.
cat > "$HOME/settings/riseml-report" <<'END'
#!/bin/sh
echo "ERROR: results not reported: install steps have no results, as they do not run for every experiment: report \
them from the commands under 'run:'" >&2
exit 1
END
chmod 755 "$HOME/settings/riseml-report"
echo 'export PATH="$PATH:/run/riseml-settings"' >> "$HOME/settings/variables"
# Environments that tools make lie in the project, where jobs find them; caches are no part of the image.
echo 'export POETRY_VIRTUALENVS_IN_PROJECT=true PIPENV_VENV_IN_PROJECT=1' >> "$HOME/settings/variables"
riseml_number=0
# mawk collects its input before it looks at it, unless it is told that somebody waits.
riseml_awk=awk
if command -v mawk > /dev/null; then riseml_awk='mawk -W interactive'; fi
for riseml_name in $(env | sed -n -E 's/^((PIP|UV)_[A-Z_]+|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO|[A-Za-z]+_(PROXY|proxy))=.*/\1/p'); do
  case "$riseml_name" in PIP_CACHE_DIR|UV_CACHE_DIR) continue ;; esac
  eval "riseml_value=\$$riseml_name"
  case "$riseml_value" in
    *[[:space:]]*) ;;
    /*)
      if [ -e "$riseml_value" ]; then
        riseml_number=$((riseml_number + 1))
        riseml_mounts="$riseml_mounts -v $riseml_value:/run/riseml-files/$riseml_number:ro"
        riseml_value=/run/riseml-files/$riseml_number
      fi ;;
  esac
  echo "$riseml_name" >> "$HOME/settings/names"
  printf "export %s='%s'\n" "$riseml_name" "$(printf '%s' "$riseml_value" | sed "s/'/'\\\\''/g")" >> "$HOME/settings/variables"
done
)sh";

// Removes what builds that were killed have left of their containers, unless another build of the same user is running:
// each holds a shared lock. The lock is that of the shell, not of what it starts.
constexpr char kRemoveLeavings[] = R"sh(exec 9> "$RISEML_LAYERS/builds.lock"
if flock --exclusive --nonblock 9; then buildah rm --all > /dev/null 2>&1 9>&-; fi
flock --shared 9
)sh";

// Replaces buildah's lines on instructions by the steps that users know.
constexpr char kFollow[] = R"awk(
BEGIN { count = split(ENVIRON["RISEML_STEPS"], title, "\n") - 1 }
/^STEP [0-9]+(\/[0-9]+)?: / {
  number = $2
  sub(/[\/:].*/, "", number)
  step = number - before
  if (step >= 1 && step <= count) print "==> step " step " of " count ": " title[step]
  fflush(); next
}
/^--> Using cache / { if (step >= 1) print "    taken from an earlier build"; fflush(); next }
/^--> / || /^COMMIT / || /^Successfully tagged localhost\// || /^[0-9a-f]+$/ && length($0) == 64 || /^subprocess exited with status / { next }
/^subprocess exited on / { stopped = 1; next }
/^[Ee]rror.*history lists [0-9]+ non-empty layers/ {
  print "the base image cannot be built upon: its configuration lists other layers in `history` than it has; build it anew with docker, podman or buildah, or use another one"
  next
}
# The error quotes the instruction, which may have several lines, and ends with the code.
/^[Ee]rror.* STEP "RUN / && step >= 1 { quoted = 1 }
quoted {
  text = text $0 "\n"
  if ($0 !~ /exit status [0-9]+$/) next
  code = $0
  sub(/.*exit status /, "", code)
  if (!stopped) print "step " step " of " count " failed: `" title[step] "` return code: " code
  quoted = 0
  text = ""
  next
}
{ print; fflush() }
END { printf "%s", text }
)awk";

bool PassesFiles(const CodeInputs& code) {
  return code.tree.empty() && code.everything_because.empty() && !code.projects.empty();
}

std::string CollectCommand(const CodeInputs& code) {
  std::string text = kCollect;
  if (!code.tree.empty() || !code.everything_because.empty())
    return absl::StrCat(text, "riseml_copy .\nrm -f \"$HOME/context/riseml.yml\"");
  std::vector<std::string> whole, empty;
  for (const auto& [path, id] : code.ids) {
    const bool directory = absl::EndsWith(path, "/");
    if (directory && id.empty())
      empty.push_back(absl::StrCat("\"$HOME/context\"/", Quote(path)));  // only that it exists decides
    else
      whole.push_back(Quote(absl::StrCat("./", path)));
  }
  if (!empty.empty()) absl::StrAppend(&text, "mkdir -p ", absl::StrJoin(empty, " "), "\n");
  if (!whole.empty()) absl::StrAppend(&text, "riseml_copy ", absl::StrJoin(whole, " "), "\n");
  if (PassesFiles(code)) {
    absl::StrAppend(&text, kCollectProjects, "riseml_projects");
    for (const std::string& path : code.projects) absl::StrAppend(&text, " ", Quote(absl::StrCat("./", path)));
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string WriteCommand(absl::string_view text, absl::string_view name) {
  return absl::StrCat("printf '%s' ", Quote(text), " > \"$HOME\"/", name);
}

// Lines on the decision, the files that the steps read, and credentials.
Step PrepareStep(const ImageInputs& inputs, absl::string_view key, const ImageTarget& target) {
  const DecisionText text{
      key, {absl::StrCat("base image: ", inputs.base.ToString())}, inputs.install, inputs.code, inputs.built_because};
  std::string lines = "printf '%s\\n'";
  for (const std::string& line : DecisionLines(text)) absl::StrAppend(&lines, " ", Quote(line));
  return {.title = "collect what the steps read",
          .command = absl::StrCat(lines, "\numask 077\n",
                                  WriteCommand(oci::ToDockerConfig(target.credentials), "registries.json"),
                                  "\numask 022\n", CollectCommand(inputs.code)),
          .prefix_key = "",
          .reuse_command = "",
          .explains_failure = true};
}

Step BuildStep(const ImageInputs& inputs, absl::string_view key, const ImageTarget& target) {
  oci::ImageReference base = inputs.base, name = inputs.base;
  base.tag.clear();  // buildah takes no name with both
  name.digest.clear();
  const std::string containerfile = ContainerfileOf({.base = base.ToString(),
                                                     .steps = inputs.install,
                                                     .secrets = {},
                                                     .cache = "riseml",
                                                     .removes_passing = PassesFiles(inputs.code)});
  std::string titles;
  for (const std::string& step : inputs.install) absl::StrAppend(&titles, ForLine(step), "\n");
  const std::string registry =
      absl::StrCat(target.base_plain_http ? " --tls-verify=false" : "", " --authfile \"$HOME/registries.json\"");
  // Steps share the network of their buildah. One without a network finds the base where another has put it.
  const std::string before = target.steps_without_network
                                 ? absl::StrCat("echo 'Install steps have no network here.' && buildah pull", registry,
                                                " ", Quote(base.ToString()), " > /dev/null && unshare --net ")
                                 : "";
  const std::string build = absl::StrCat(
      before, "buildah bud --format oci --layers", inputs.rebuild.empty() ? "" : " --no-cache",
      target.steps_without_network ? " --pull=never" : "", " $riseml_mounts", registry, " --label ", kKeyLabel, "=",
      key, " -t riseml-environment:", key, " -f \"$HOME/Containerfile\" \"$HOME/context\"");
  return {.title = absl::StrCat("build image from ", name.ToString()),
          .command =
              absl::StrCat(kRemoveLeavings, kSettings, WriteCommand(containerfile, "Containerfile"),
                           "\nexport RISEML_STEPS=", Quote(titles), "\n{ { ", build,
                           "; } 2>&1; echo $? > \"$HOME/status\"; } 9>&- | $riseml_awk -v before=", kInstructionsBefore,
                           " ", Quote(kFollow), " 9>&-\nexec 9>&-\n( exit \"$(cat \"$HOME/status\")\" )"),
          .prefix_key = "",
          .reuse_command = "",
          .explains_failure = true};
}

Step SendStep(absl::string_view key, const ImageTarget& target) {
  return {.title = "send image to the registry",
          .command = absl::StrCat("buildah push", target.plain_http ? " --tls-verify=false" : "",
                                  " --authfile \"$HOME/registries.json\" riseml-environment:", key, " docker://",
                                  target.reference),
          .prefix_key = "",
          .reuse_command = "",
          .explains_failure = true};
}

}  // namespace

std::string KeyOf(const ImageInputs& inputs) {
  std::string text;
  AddField(text, "image_format", absl::StrCat(kImageFormat));
  AddField(text, "owner", inputs.owner_uid);
  AddField(text, "base", inputs.base.digest);
  for (const std::string& step : inputs.install) AddField(text, "install", step);
  AddField(text, "code", DigestOf(inputs.code));
  AddField(text, "rebuild", inputs.rebuild);
  return Sha256Hex(text);
}

std::vector<DecidingInput> DecidingInputsOf(const ImageInputs& inputs) {
  oci::ImageReference name = inputs.base;
  name.digest.clear();
  std::vector<DecidingInput> out = {Deciding(DecidingInput::LAYOUT, "layout", ShortHash(absl::StrCat(kImageFormat))),
                                    Deciding(DecidingInput::IMAGE, name.ToString(), inputs.base.digest)};
  AddDecidingSteps(inputs.install, out);
  AddDecidingCode(inputs.code, out);
  return out;
}

std::vector<Step> StepsOf(const ImageInputs& inputs, absl::string_view key, const ImageTarget& target) {
  return {PrepareStep(inputs, key, target), BuildStep(inputs, key, target), SendStep(key, target)};
}

}  // namespace riseml::builder
