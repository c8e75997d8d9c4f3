#include "services/common/oci/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

const std::string kSomeDigest = "sha256:" + std::string(64, 'a');

TEST(ImageReference, Parses) {
  const struct {
    std::string text;
    ImageReference want;
  } cases[] = {
      {"python:3.11", {"docker.io", "library/python", "3.11", ""}},
      {"python", {"docker.io", "library/python", "latest", ""}},
      {"myteam/tf:custom", {"docker.io", "myteam/tf", "custom", ""}},
      {"docker.io/python:3", {"docker.io", "library/python", "3", ""}},
      {"index.docker.io/team/a", {"docker.io", "team/a", "latest", ""}},
      {"ghcr.io/team/train:2", {"ghcr.io", "team/train", "2", ""}},
      {"localhost/a:1", {"localhost", "a", "1", ""}},
      {"localhost:5000/a/b/c", {"localhost:5000", "a/b/c", "latest", ""}},
      {"127.0.0.1:43000/a", {"127.0.0.1:43000", "a", "latest", ""}},
      {"[::1]:5000/a:x", {"[::1]:5000", "a", "x", ""}},
      {"Registry.Example/a", {"Registry.Example", "a", "latest", ""}},
      {"a@" + kSomeDigest, {"docker.io", "library/a", "", kSomeDigest}},
      {"a.b/c:1@" + kSomeDigest, {"a.b", "c", "1", kSomeDigest}},
      {"a__b/c-d/e.f--g", {"docker.io", "a__b/c-d/e.f--g", "latest", ""}},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<ImageReference> got = ParseImageReference(c.text);
    ASSERT_TRUE(got.ok()) << c.text << ": " << got.status();
    EXPECT_EQ(*got, c.want) << c.text << ": " << got->ToString();
    EXPECT_EQ(ParseImageReference(got->ToString()).value(), c.want) << "the full name is parsed to the same";
  }
}

TEST(ImageReference, RefusesWithTheWrongPart) {
  const struct {
    std::string text, why;
  } cases[] = {
      {"", "lower-case letters and digits"},
      {"Python", "upper-case"},
      {"team/Python:3", "upper-case"},
      {"python:", "a tag has"},
      {"python:-3", "a tag has"},
      {"python:" + std::string(129, 'x'), "a tag has"},
      {"a@sha256:12", "a digest is"},
      {"a@md5:" + std::string(64, 'a'), "a digest is"},
      {"a:5000:x/b", "not a host"},
      {"a.b:70000/c", "not a host"},
      {"-a.b/c", "not a host"},
      {"a//b", "lower-case letters and digits"},
      {"a/../b", "lower-case letters and digits"},
      {"../a", "not a host"},
      {"a___b", "lower-case letters and digits"},
      {"a..b", "lower-case letters and digits"},
      {"a.b/_c", "lower-case letters and digits"},
      {"a/b/", "lower-case letters and digits"},
      {"пайтон:3", "lower-case letters and digits"},
      {"a b", "lower-case letters and digits"},
      {"a\nb", "lower-case letters and digits"},
      {"http://a.b/c", "not a host"},
      {std::string(300, 'a'), "longer than 255"},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<ImageReference> got = ParseImageReference(c.text);
    ASSERT_FALSE(got.ok()) << c.text << " is " << got->ToString();
    EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(got.status().message()), HasSubstr(c.why)) << c.text;
  }
}

}  // namespace
}  // namespace riseml::oci
