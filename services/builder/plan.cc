#include "services/builder/plan.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/builder/files.h"

namespace riseml::builder {
namespace {

// "install", "pip install x" as "7:install13:pip install x".
void AddField(std::string& text, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&text, name.size(), ":", name, value.size(), ":", value);
}

std::string Sha256Hex(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

bool IsPlainWord(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '/' || c == '.' || c == '_' || c == '-' || c == '=' || c == '+';
  });
}

Step InstallStep(absl::string_view install) {
  const std::string tool = SystemPackageTool(install);
  if (tool.empty()) return {std::string(install), std::string(install)};
  const std::string refusal = absl::StrCat(
      "`", tool, "` is not available: jobs of this installation run in a Python environment without root's rights. ",
      "Install the Python package instead (pip install ...), or ask an administrator to install the system package on ",
      "the nodes and remove this step.");
  return {std::string(install), absl::StrCat("printf '%s\\n' ", Quote(refusal), " >&2; exit 1")};
}

Step FrameworkStep(const Inputs& inputs) {
  const bool latest = inputs.framework_version.empty();
  const std::string package =
      latest ? inputs.framework : absl::StrCat(inputs.framework, "==", inputs.framework_version);
  const std::string hint =
      latest
          ? absl::StrCat(inputs.framework, " could not be installed for this Python (", inputs.python_version,
                         "). Check the output above: the package index must be reachable from the node and offer it.")
          : absl::StrCat(inputs.framework, " ", inputs.framework_version, " could not be installed for this Python (",
                         inputs.python_version,
                         "). If the output above lists versions, write one of them as `version`, or remove `version` "
                         "for the newest.");
  const std::string install = absl::StrCat("pip install ", Quote(package));
  return {install, absl::StrCat(install, " || { printf '%s\\n' ", Quote(hint), " >&2; exit 1; }")};
}

}  // namespace

std::string Quote(absl::string_view text) {
  if (IsPlainWord(text)) return std::string(text);
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

bool NeedsEnvironment(const Inputs& inputs) { return !inputs.install.empty() || !inputs.framework.empty(); }

std::string KeyOf(const Inputs& inputs) {
  std::string text;
  AddField(text, "format", absl::StrCat(kEnvironmentFormat));
  AddField(text, "owner", inputs.owner_uid);
  AddField(text, "python", inputs.python);
  AddField(text, "python_version", inputs.python_version);
  for (const std::string& step : inputs.install) AddField(text, "install", step);
  AddField(text, "framework", inputs.framework);
  AddField(text, "framework_version", inputs.framework_version);
  for (const auto& [path, id] : inputs.file_ids) {
    AddField(text, "path", path);
    AddField(text, "id", id);
  }
  AddField(text, "commit", inputs.commit);
  AddField(text, "client", inputs.client_digest);
  return Sha256Hex(text);
}

std::string MarkerOf(absl::string_view key) {
  return absl::StrCat("riseml-environment ", kEnvironmentFormat, "\n", key, "\n");
}

std::vector<Step> StepsOf(const Inputs& inputs, absl::string_view key, absl::string_view path) {
  std::vector<Step> steps;
  steps.push_back({"create Python environment", absl::StrCat(Quote(inputs.python), " -m venv --clear ", Quote(path))});
  if (!inputs.client_dir.empty()) {
    steps.push_back(
        {"add package riseml",
         absl::StrCat("cp -R ", Quote(inputs.client_dir),
                      " \"$(python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')/riseml\"")});
  }
  for (const std::string& install : inputs.install) steps.push_back(InstallStep(install));
  if (!inputs.framework.empty()) steps.push_back(FrameworkStep(inputs));
  const std::string marker = absl::StrCat(path, "/", kMarkerName);
  // Everything is on the disk before the marker is: an environment that has one survives a power failure.
  steps.push_back({"seal environment",
                   absl::StrCat("sync -f ", Quote(path), " && printf 'riseml-environment %s\\n%s\\n' ",
                                kEnvironmentFormat, " ", key, " > ", Quote(marker + ".new"), " && sync ",
                                Quote(marker + ".new"), " && mv ", Quote(marker + ".new"), " ", Quote(marker))});
  return steps;
}

}  // namespace riseml::builder
