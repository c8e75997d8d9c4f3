// Lists of experiments: pages without gap or repeat, bounded in number and in bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "riseml/v1/project.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using testing::ElementsAre;

using ListsTest = ApiTestBase;

TEST_F(ListsTest, ListsPageWithoutGapOrRepeat) {
  for (int i = 0; i < 7; ++i) Create(kSingle);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest request;
  request.set_parent("users/" + user_);
  request.set_page_size(3);
  std::vector<std::string> names;
  do {
    const auto page = rpc::Invoke<v1::ListExperimentsResponse>(
        [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = key_});
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Experiment& e : page->experiments()) names.push_back(e.name().substr(e.name().rfind('/') + 1));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("7", "6", "5", "4", "3", "2", "1"));
}

TEST_F(ListsTest, ExperimentsOfAllUsersPageWithoutGapOrRepeat) {
  std::set<std::string> made, listed;
  for (int i = 0; i < 5; ++i) made.insert(Create(kSingle).name());
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest request;
  request.set_parent("users/-");
  request.set_page_size(2);
  do {
    const auto page = rpc::Invoke<v1::ListExperimentsResponse>(
        [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = api_->admin_key()});
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Experiment& e : page->experiments()) EXPECT_TRUE(listed.insert(e.name()).second) << e.name();
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  for (const std::string& name : made) EXPECT_TRUE(listed.contains(name)) << name;
}

// A token that somebody has changed so that the database would refuse it.
TEST_F(ListsTest, ATokenOfTextThatIsNoTextIsRefusedAsAToken) {
  api_->NewRevision(user_, "other");
  const auto stub = v1::ProjectService::NewStub(api_->UserChannel());
  const auto list = [&](const std::string& token) {
    v1::ListProjectsRequest request;
    request.set_parent("users/" + user_);
    request.set_page_size(1);
    request.set_page_token(token);
    return rpc::Invoke<v1::ListProjectsResponse>([&](auto* c, auto* r) { return stub->ListProjects(c, request, r); },
                                                 {.credential = key_});
  };
  std::string text;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(list("")->next_page_token(), &text));
  ASSERT_TRUE(list(absl::WebSafeBase64Escape(text + "x")).ok()) << "the next name";
  for (const std::string& end : {std::string("\xff"), std::string("\0", 1)})
    EXPECT_EQ(ReasonName(list(absl::WebSafeBase64Escape(text + end)).status()), "INVALID_PAGE_TOKEN");
}

TEST_F(ListsTest, APageEndsByBytesToo) {
  // One command of 60 kB sixteen times.
  std::string yaml = absl::StrCat("project: digits\ntrain:\n  image: x\n  resources: {}\n  run: [&c 'echo ",
                                  std::string(60'000, 'x'), "'");
  for (int i = 1; i < 16; ++i) absl::StrAppend(&yaml, ", *c");
  absl::StrAppend(&yaml, "]\n");
  constexpr int kMade = 10;
  for (int i = 0; i < kMade; ++i) Create(yaml);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest request;
  request.set_parent("users/" + user_);
  int listed = 0, pages = 0;
  do {
    const auto page = rpc::Invoke<v1::ListExperimentsResponse>(
        [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = key_});
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), 8u << 20);
    listed += page->experiments_size();
    ++pages;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, kMade);
  EXPECT_GT(pages, 1);
}

}  // namespace
}  // namespace riseml::api
