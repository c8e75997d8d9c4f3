#include "services/agent/launch/package_settings.h"

#include <cstdint>

#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxPipConfigBytes = 1 << 20;

}  // namespace

std::string PipConfigOf(const Variables& environment) {
  const auto variable = [&environment](const char* name) {
    const auto it = environment.find(name);
    return it == environment.end() ? std::string() : it->second;
  };
  const std::string home = variable("HOME");
  for (const std::string& path : {variable("PIP_CONFIG_FILE"), home + "/.config/pip/pip.conf", home + "/.pip/pip.conf",
                                  std::string("/etc/pip.conf")})
    if (!path.empty() && FileExists(path)) return path;
  return "";
}

Variables PackageSettings(const Variables& environment) {
  Variables settings = InheritedVariables(environment);
  if (const std::string path = PipConfigOf(environment); !path.empty())
    settings["pip.conf"] = ReadFile(path, kMaxPipConfigBytes).value_or("");
  return settings;
}

}  // namespace riseml::agent
