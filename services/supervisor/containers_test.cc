// An installation whose jobs run in containers: its ports, configurations, certificates and units.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/runtime.h"
#include "services/supervisor/install/secrets.h"
#include "services/supervisor/install/service_configs.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Containers : public ::testing::Test {
 protected:
  Containers() {
    char pattern[] = "/tmp/riseml-containers-XXXXXX";
    input_.layout.dir = input_.layout.home = mkdtemp(pattern);
    input_.state.set_podman(true);
    EXPECT_TRUE(CompleteState(input_.layout, &input_.state).ok());
  }
  ~Containers() override { std::filesystem::remove_all(input_.layout.dir); }

  std::string In(absl::string_view name) const { return input_.layout.In(name); }

  ConfigInput input_;
};

TEST_F(Containers, HavePortsOfTheirOwnThatStay) {
  EXPECT_EQ(input_.state.ports().size(), 12u);
  const std::string registry = AddressOf(input_.state, kRegistry);
  EXPECT_THAT(registry, HasSubstr("127.0.0.1:"));
  input_.state.set_podman(false);
  ASSERT_TRUE(CompleteState(input_.layout, &input_.state).ok());
  EXPECT_EQ(AddressOf(input_.state, kRegistry), registry) << "images are named by it";
}

TEST_F(Containers, AreWhatTheServicesAreConfiguredFor) {
  const config::v1::Images images = MakeBuilderConfig(input_).images();
  EXPECT_EQ(images.registry(), AddressOf(input_.state, kRegistry));
  EXPECT_TRUE(images.plain_http());
  EXPECT_EQ(images.token_key_file(), In("certs/registry-tokens.key"));
  EXPECT_EQ(images.token_certificate_file(), In("certs/registry-tokens.crt"));
  EXPECT_EQ(images.token_address(), AddressOf(input_.state, kTokenListener));
  EXPECT_EQ(images.spool_dir(), In("spool"));
  EXPECT_EQ(MakeBuilderConfig(input_).api_address(), MakeSchedulerConfig(input_).api_address());
  const config::v1::Podman podman = MakeNodeConfig(input_).podman();
  EXPECT_EQ(podman.storage_dir(), In("containers"));
  EXPECT_THAT(podman.build_ports(), ElementsAre(PortOf(input_.state, kRegistry), PortOf(input_.state, kTokenListener)));
  EXPECT_TRUE(MakeApiConfig(input_).containers());
  const auto texts = RenderConfigs(input_);
  ASSERT_TRUE(texts.ok());
  const std::string& registry = texts->at("registry");
  EXPECT_THAT(registry, HasSubstr("addr: " + images.registry() + "\n"));
  EXPECT_THAT(registry, HasSubstr("realm: http://" + images.token_address() + "/token\n"));
  EXPECT_THAT(registry, HasSubstr("rootcertbundle: '" + In("certs/registry-ca.crt'")));
  EXPECT_THAT(registry, HasSubstr("rootdirectory: '" + In("registry'")));
  EXPECT_THAT(registry, Not(HasSubstr("@")));
}

TEST_F(Containers, AreAbsentFromAnInstallationOfProcesses) {
  input_.state.set_podman(false);
  EXPECT_FALSE(MakeBuilderConfig(input_).has_images());
  EXPECT_FALSE(MakeNodeConfig(input_).has_podman());
  EXPECT_FALSE(MakeApiConfig(input_).containers());
  EXPECT_EQ(RenderConfigs(input_)->count("registry"), 0u);
  for (const UnitPlan& unit : MakeStackPlan(input_.layout, input_.state, Programs(), {}).units) {
    EXPECT_NE(unit.name, kRegistry);
    EXPECT_FALSE(unit.as_root) << unit.name;
    for (const Endpoint& endpoint : unit.endpoints)
      EXPECT_NE(endpoint.role, ListenerRole::kImages) << endpoint.listener;
  }
}

TEST_F(Containers, NeedRootForTheNodeOnly) {
  const StackPlan plan = MakeStackPlan(input_.layout, input_.state, Programs(), {});
  for (const UnitPlan& unit : plan.units) EXPECT_EQ(unit.as_root, unit.name == kNode) << unit.name;
  const auto registry = std::ranges::find(plan.units, kRegistry, &UnitPlan::name);
  ASSERT_NE(registry, plan.units.end());
  EXPECT_EQ(registry->stop_wave, kLastWave);
  ASSERT_EQ(registry->endpoints.size(), 1u);
  EXPECT_EQ(registry->endpoints[0].address, AddressOf(input_.state, kRegistry));
}

TEST_F(Containers, HaveAnAuthorityForTokensAlone) {
  const SystemClock clock;
  ASSERT_TRUE(MakeDirectories(input_.layout.Certs()).ok());
  ASSERT_TRUE(EnsureCertificates(input_.layout, clock.Now()).ok());
  ASSERT_TRUE(EnsureTokenCertificates(input_.layout, clock.Now()).ok());
  const auto authority = ReadFile(In("certs/registry-ca.crt"), 1 << 20);
  ASSERT_TRUE(authority.ok());
  EXPECT_NE(*authority, ReadFile(In("certs/ca.crt"), 1 << 20).value_or(""));
  const std::string key = ReadFile(In("certs/registry-tokens.key"), 1 << 20).value_or("absent");
  EXPECT_THAT(key, HasSubstr("PRIVATE KEY"));
  ASSERT_TRUE(EnsureTokenCertificates(input_.layout, clock.Now()).ok());
  EXPECT_EQ(ReadFile(In("certs/registry-tokens.key"), 1 << 20).value_or(""), key) << "it is kept";
}

TEST_F(Containers, AreChosenOnceAndRemembered) {
  const auto choose = [this](absl::string_view option) { return ChooseRuntime(input_.layout.dir, option); };
  EXPECT_FALSE(choose("")->podman) << "before the first start";
  EXPECT_TRUE(choose(kPodmanRuntime)->changed);
  ASSERT_TRUE(SaveState(input_.layout, input_.state).ok());
  EXPECT_TRUE(choose("")->podman);
  EXPECT_FALSE(choose("")->changed);
  EXPECT_FALSE(choose(kPodmanRuntime)->changed);
  EXPECT_TRUE(choose(kProcessRuntime)->changed);
  ASSERT_TRUE(WriteFileAtomically(input_.layout.State(), "damaged").ok());
  EXPECT_FALSE(choose(kPodmanRuntime).ok());
}

}  // namespace
}  // namespace riseml::supervisor
