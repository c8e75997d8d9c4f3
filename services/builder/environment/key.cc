#include "services/builder/environment/key.h"

#include "absl/strings/str_cat.h"
#include "services/builder/environment/sha256.h"

namespace riseml::builder {
namespace {

void AddCode(std::string& text, const CodeInputs& code) {
  for (const auto& [path, id] : code.ids) {
    AddField(text, "path", path);
    AddField(text, "id", id);
  }
  AddField(text, "tree", code.tree);
}

void AddPlaceAndPython(std::string& text, const Inputs& inputs) {
  AddField(text, "owner", inputs.owner_uid);
  AddField(text, "place", inputs.place);
  AddField(text, "python", inputs.python);
  AddField(text, "python_version", inputs.python_version);
}

}  // namespace

std::string DigestOf(const CodeInputs& code) {
  std::string text;
  AddCode(text, code);
  return Sha256Hex(text);
}

std::string KeyOf(const Inputs& inputs) {
  std::string text;
  AddField(text, "format", absl::StrCat(kEnvironmentFormat));
  AddPlaceAndPython(text, inputs);
  for (const std::string& step : inputs.install) AddField(text, "install", step);
  AddField(text, "framework", inputs.framework);
  AddField(text, "framework_version", inputs.framework_version);
  AddCode(text, inputs.code);
  AddField(text, "rebuild", inputs.rebuild);
  AddField(text, "client", inputs.client_digest);
  return Sha256Hex(text);
}

std::string PrefixKeyOf(const Inputs& inputs, const Prefix& prefix) {
  if (prefix.installs > inputs.prefix_digests.size()) return "";
  std::string text;
  AddField(text, "kept_steps_of_format", absl::StrCat(kEnvironmentFormat));
  AddPlaceAndPython(text, inputs);
  if (prefix.client) AddField(text, "client", inputs.client_digest);
  for (std::size_t i = 0; i < prefix.installs; ++i) AddField(text, "install", inputs.install[i]);
  if (prefix.installs > 0) AddField(text, "code", inputs.prefix_digests[prefix.installs - 1]);
  if (prefix.framework) {
    AddField(text, "framework", inputs.framework);
    AddField(text, "framework_version", inputs.framework_version);
  }
  return Sha256Hex(text);
}

}  // namespace riseml::builder
