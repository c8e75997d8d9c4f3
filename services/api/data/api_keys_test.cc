#include "services/api/data/api_keys.h"

#include <gtest/gtest.h>

#include "services/api/data/attempt_tokens.h"
#include "services/common/base/id.h"

namespace riseml::api {
namespace {

TEST(ApiKey, RoundTrip) {
  const ApiKey made = MakeApiKey();
  EXPECT_EQ(made.text.size(), 4u + 10 + 43 + 6);
  const auto parsed = ParseApiKey(made.text);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->id, made.id);
  EXPECT_TRUE(EqualSecrets(parsed->secret_hash, made.secret_hash));
  EXPECT_EQ(made.text.rfind(KeyPrefix(made.id), 0), 0u);
}

TEST(ApiKey, AnyChangedCharacterIsNoticed) {
  const std::string text = MakeApiKey().text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(ParseApiKey(changed).has_value()) << i;
  }
  EXPECT_FALSE(ParseApiKey("").has_value());
  EXPECT_FALSE(ParseApiKey(text + "0").has_value());
}

TEST(AttemptTokens, OnlyItsOwnKeyAndContentVerify) {
  const AttemptTokens tokens(std::string(32, 'k')), others(std::string(32, 'o'));
  const AttemptId id{NewUuid(), 3};
  const std::string token = tokens.Make(id);
  const auto verified = tokens.Verify(token);
  ASSERT_TRUE(verified.has_value());
  EXPECT_EQ(verified->job_uid, id.job_uid);
  EXPECT_EQ(verified->attempt, 3);
  EXPECT_FALSE(others.Verify(token).has_value());
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_FALSE(tokens.Verify(changed).has_value()) << i;
  }
}

}  // namespace
}  // namespace riseml::api
