#include "services/agent/launch/passwords.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "services/agent/testing.h"

namespace riseml::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace riseml::agent::testing;

TEST(Passwords, UsersAndPasswordsOfUrlsGo) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://paul:secret@host/simple", "https://host/simple"},
      {"https://token@host:8080", "https://host:8080"},
      {"http://paul:p@ss:w@host/a", "http://host/a"},
      {"a http://u:p@one/ 'https://u:p@two/x@1'", "a http://one/ 'https://two/x@1'"},
      {"ours=https://u:p@host/simple", "ours=https://host/simple"},
      {"socks5h://u:p@[::1]:1080", "socks5h://[::1]:1080"},
      {"https://host/name@1.0:2@3", "https://host/name@1.0:2@3"},
      {"git+ssh://git@host/team/repo", "git+ssh://git@host/team/repo"},
      {"paul:secret@host:3128", "paul:secret@host:3128"},
      {"mail@example.org", "mail@example.org"},
      {"@", "@"},
      {"//@", "//@"},
      {"", ""},
  };
  for (const auto& [text, clean] : cases) EXPECT_EQ(WithoutUserinfo(text, false), clean);
}

TEST(Passwords, ProxiesNeedNoScheme) {
  EXPECT_EQ(WithoutUserinfo("paul:sec@ret@host:3128", true), "host:3128");
  EXPECT_EQ(WithoutUserinfo("proxy=paul:sec=ret@host:3128", true), "proxy=host:3128");
  EXPECT_EQ(WithoutUserinfo("[global]\nproxy = paul:secret@host\nindex-url = https://u:p@i/\n", true),
            "[global]\nproxy = host\nindex-url = https://i/\n");
  EXPECT_EQ(WithoutUserinfo("host:3128", true), "host:3128");
}

TEST(Passwords, JobsGetTheSettingsWithoutThem) {
  TemporaryDirectory directory;
  WriteAll(directory / "pip.conf", "[global]\nextra-index-url =\n    https://u:secret@one/simple\n");
  WriteAll(directory / "uv.toml", "[[index]]\nurl = \"https://u:secret@two/simple\"\n");
  WriteAll(directory / "constraints.txt", "numpy<2\n");
  const Variables node = {{"PIP_CONFIG_FILE", directory / "pip.conf"},
                          {"PIP_INDEX_URL", "https://u:secret@three/simple"},
                          {"PIP_TRUSTED_HOST", "three"},
                          {"PIP_CONSTRAINT", directory / "constraints.txt"},
                          {"PIP_CLIENT_CERT", "/etc/client.pem"},
                          {"UV_CONFIG_FILE", directory / "uv.toml"},
                          {"UV_INDEX_OURS_PASSWORD", "secret"},
                          {"UV_PUBLISH_TOKEN", "secret"},
                          {"https_proxy", "u:secret@proxy:3128"},
                          {"HOME", "/home/u:secret@x"}};
  const JobSettings settings = WithoutPasswords(node);
  EXPECT_EQ(InheritedVariables(settings.variables), (Variables{{"PIP_INDEX_URL", "https://three/simple"},
                                                               {"PIP_TRUSTED_HOST", "three"},
                                                               {"PIP_CONSTRAINT", directory / "constraints.txt"},
                                                               {"https_proxy", "proxy:3128"}}));
  EXPECT_EQ(settings.variables.at("HOME"), node.at("HOME")) << "not for jobs";
  EXPECT_THAT(settings.stripped, ElementsAre("PIP_INDEX_URL", "https_proxy", directory / "pip.conf"));
  EXPECT_THAT(settings.withheld,
              ElementsAre("PIP_CLIENT_CERT", "UV_CONFIG_FILE", "UV_INDEX_OURS_PASSWORD", "UV_PUBLISH_TOKEN"));
  EXPECT_THAT(NoteOnPasswords(settings, {"/etc/pip.conf"}),
              AllOf(HasSubstr("get PIP_INDEX_URL, https_proxy"), HasSubstr("UV_PUBLISH_TOKEN, /etc/pip.conf"),
                    Not(HasSubstr("secret@"))));
  EXPECT_THAT(NoteOnPasswords(WithoutPasswords({{"PIP_INDEX_URL", "https://three/simple"}}), {}), IsEmpty());
}

}  // namespace
}  // namespace riseml::agent
