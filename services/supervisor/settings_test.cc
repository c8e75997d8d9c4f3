#include "services/supervisor/install/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "services/supervisor/install/registry.h"
#include "services/supervisor/install/service_configs.h"

namespace riseml::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() { input_.state.set_podman(true); }
  // Starts with one variable set.
  absl::Status Take(const char* name, const char* value) {
    setenv(name, value, 1);
    const absl::Status taken = TakeSettings(&input_.state);
    unsetenv(name);
    return taken;
  }
  ConfigInput input_{{"/r", "/r"}, {}, ""};
};

TEST_F(SettingsTest, NameTheRegistriesOfBaseImages) {
  ASSERT_TRUE(Take("RISEML_PRIVATE_REGISTRIES", "registry.lan:5000, 127.0.0.1:5001").ok());
  ASSERT_TRUE(Take("RISEML_ALLOWED_REGISTRIES", "docker.io,registry.lan:5000").ok());
  ASSERT_TRUE(Take("RISEML_REGISTRIES_WITHOUT_TLS", "registry.lan:5000").ok());
  const config::v1::Images images = MakeBuilderConfig(input_).images();
  EXPECT_THAT(images.private_registries(), ElementsAre("registry.lan:5000", "127.0.0.1:5001"));
  EXPECT_THAT(images.allowed_registries(), ElementsAre("docker.io", "registry.lan:5000"));
  EXPECT_THAT(images.registries_without_tls(), ElementsAre("registry.lan:5000"));
  EXPECT_THAT(MakeNodeConfig(input_).podman().build_ports(), ::testing::Contains(5001));
  ASSERT_TRUE(Take("RISEML_PRIVATE_REGISTRIES", "-").ok());
  EXPECT_THAT(MakeBuilderConfig(input_).images().private_registries(), IsEmpty());
  for (const char* text : {"team", "a.b,,c.d", "https://a.b", "a.b/c", "A B"})
    EXPECT_THAT(std::string(Take("RISEML_ALLOWED_REGISTRIES", text).message()),
                HasSubstr("RISEML_ALLOWED_REGISTRIES must be registries as images name them"))
        << text;
}

TEST_F(SettingsTest, LimitBuilds) {
  EXPECT_FALSE(MakeNodeConfig(input_).has_build_time_limit());
  ASSERT_TRUE(Take("RISEML_BUILD_MAX_TIME", "90m").ok());
  ASSERT_TRUE(Take("RISEML_BUILD_MAX_BYTES", "20G").ok());
  ASSERT_TRUE(Take("RISEML_BUILD_NETWORK", "off").ok());
  EXPECT_EQ(MakeNodeConfig(input_).build_time_limit().seconds(), 90 * 60);
  EXPECT_EQ(MakeNodeConfig(input_).build_bytes_limit(), std::int64_t{20} << 30);
  EXPECT_TRUE(MakeBuilderConfig(input_).images().steps_without_network());
  ASSERT_TRUE(Take("RISEML_BUILD_NETWORK", "on").ok());
  EXPECT_FALSE(MakeBuilderConfig(input_).images().steps_without_network());
  for (const char* text : {"90", "0s", "25h", "long"})
    EXPECT_THAT(std::string(Take("RISEML_BUILD_MAX_TIME", text).message()), HasSubstr("such as 90m or 6h, not "))
        << text;
  EXPECT_THAT(std::string(Take("RISEML_BUILD_NETWORK", "none").message()), HasSubstr("must be on or off, not none"));
}

TEST_F(SettingsTest, OfImagesNeedContainers) {
  input_.state.set_podman(false);
  EXPECT_THAT(std::string(Take("RISEML_BUILD_NETWORK", "off").message()), HasSubstr("add --runtime podman"));
  EXPECT_TRUE(Take("RISEML_BUILD_MAX_TIME", "1h").ok());
}

}  // namespace
}  // namespace riseml::supervisor
