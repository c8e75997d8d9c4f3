#include "services/common/logtext/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::logtext {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Redact, Case08PasswordsInUrlsAreHiddenAtTheirLength) {
  EXPECT_EQ(MaskUrlPasswords("pip install --index-url https://me:s3cr3t@127.0.0.1:1/simple six"),
            "pip install --index-url https://me:******@127.0.0.1:1/simple six");
  EXPECT_EQ(MaskUrlPasswords("git+https://ghp_abc@github.com/x/y"), "git+https://*******@github.com/x/y");
  EXPECT_EQ(MaskUrlPasswords("postgres://u:p@ss@h/db and 'redis://:pw@h'"),
            "postgres://u:****@h/db and 'redis://:**@h'");
  for (const char* text : {"git+ssh://git@github.com/x/y", "ssh://me@host/x", "https://host/a@b:c", "https://host:80/x",
                           "https://git@github.com/x", "mail me@host", "a://"})
    EXPECT_EQ(MaskUrlPasswords(text), text);
}

TEST(Redact, PasswordsOfUrlsAreFound) {
  EXPECT_THAT(UrlPasswords("https://me:s3cr3t@h/ https://tok@h/"), ElementsAre("s3cr3t", "tok"));
  EXPECT_THAT(UrlPasswords("https://h/"), IsEmpty());
}

TEST(Redact, ValuesAreHiddenWhereverTheyOverlap) {
  const Masker masker({"hunter2", "unte", "abc"});
  EXPECT_EQ(masker.Mask("x hunter2 hunt unte"), "x ******* hunt ****");
  EXPECT_EQ(masker.Mask("abc"), "abc") << "too short";
  EXPECT_EQ(Masker({"aaaa"}).Mask("aaaaa"), "*****");
  EXPECT_TRUE(Masker({}).empty());
}

TEST(Redact, LinesOfAValueAreHiddenOneByOne) {
  const Masker masker({"-----BEGIN-----\nabcdef\nxy\n"});
  EXPECT_EQ(masker.Mask("key: abcdef xy"), "key: ****** xy");
  EXPECT_EQ(masker.Mask("-----BEGIN-----\nabcdef\nxy\n"), "***************\n******\n**\n");
}

TEST(Redact, BeginningOfAValueAtTheEndIsOpen) {
  const Masker masker({"hunter2", "terra"});
  EXPECT_EQ(masker.OpenEnd("the hunt"), 4u);
  EXPECT_EQ(masker.OpenEnd("the hunter"), 6u) << "the longest";
  EXPECT_EQ(masker.OpenEnd("ter"), 3u);
  EXPECT_EQ(masker.OpenEnd("hunter2"), 0u);
  EXPECT_EQ(masker.OpenEnd(""), 0u);
}

}  // namespace
}  // namespace riseml::logtext
