#include "cli/client/follow_position.h"

#include <gtest/gtest.h>

namespace riseml::cli {
namespace {

using Verdict = FollowPosition::Verdict;

v1::FollowResponse Announce(const std::string& uid) {
  v1::FollowResponse response;
  response.mutable_stream()->set_job_uid(uid);
  response.mutable_stream()->set_attempt(1);
  return response;
}

v1::FollowResponse Chunk(const std::string& uid, std::int64_t offset, const std::string& data) {
  v1::FollowResponse response;
  response.mutable_chunk()->set_job_uid(uid);
  response.mutable_chunk()->set_attempt(1);
  response.mutable_chunk()->set_first_offset(offset);
  response.mutable_chunk()->set_data(data);
  return response;
}

v1::FollowResponse Gap(const std::string& uid, std::int64_t offset, std::int64_t length) {
  v1::FollowResponse response;
  response.mutable_gap()->set_job_uid(uid);
  response.mutable_gap()->set_attempt(1);
  response.mutable_gap()->set_first_offset(offset);
  response.mutable_gap()->set_length(length);
  return response;
}

v1::FollowResponse End(const std::string& uid, std::int64_t offset) {
  v1::FollowResponse response;
  response.mutable_end()->set_job_uid(uid);
  response.mutable_end()->set_attempt(1);
  response.mutable_end()->set_final_offset(offset);
  return response;
}

Verdict Take(FollowPosition& position, v1::FollowResponse response) { return position.Accept(response); }

v1::FollowRequest Tail(std::int64_t lines) {
  v1::FollowRequest request;
  request.set_name("users/paul/experiments/1");
  request.set_tail_lines(lines);
  return request;
}

TEST(FollowPosition, GoesOnWhereItStopped) {
  FollowPosition position(Tail(10));
  EXPECT_EQ(position.Request(true).tail_lines(), 10);
  EXPECT_EQ(Take(position, Announce("a")), Verdict::kNew);
  EXPECT_EQ(Take(position, Chunk("a", 100, "12345")), Verdict::kNew);
  const v1::FollowRequest again = position.Request(false);
  ASSERT_EQ(again.cursors_size(), 1);
  EXPECT_EQ(again.cursors(0).offset(), 105);
  EXPECT_EQ(again.start_case(), v1::FollowRequest::kFromOffset) << "streams that began meanwhile are wanted whole";
  EXPECT_EQ(again.from_offset(), 0);
}

TEST(FollowPosition, CutsOffWhatIsKnown) {
  FollowPosition position(Tail(10));
  Take(position, Chunk("a", 0, "12345"));
  EXPECT_EQ(Take(position, Chunk("a", 0, "123")), Verdict::kRepeat);
  v1::FollowResponse overlap = Chunk("a", 3, "4567");
  EXPECT_EQ(position.Accept(overlap), Verdict::kNew);
  EXPECT_EQ(overlap.chunk().data(), "67");
  EXPECT_EQ(overlap.chunk().first_offset(), 5);
}

TEST(FollowPosition, NoticesAHole) {
  FollowPosition position(Tail(10));
  Take(position, Chunk("a", 0, "12345"));
  EXPECT_EQ(Take(position, Chunk("a", 6, "7")), Verdict::kHole);
  EXPECT_EQ(position.Request(false).cursors(0).offset(), 5);
  EXPECT_EQ(Take(position, End("a", 9)), Verdict::kHole);
}

TEST(FollowPosition, AGapIsSteppedOver) {
  FollowPosition position(Tail(10));
  Take(position, Chunk("a", 0, "12345"));
  EXPECT_EQ(Take(position, Gap("a", 5, 10)), Verdict::kNew);
  EXPECT_EQ(Take(position, Gap("a", 5, 10)), Verdict::kRepeat);
  EXPECT_EQ(Take(position, Chunk("a", 15, "x")), Verdict::kNew);
  EXPECT_EQ(Take(position, End("a", 16)), Verdict::kNew);
  EXPECT_EQ(Take(position, End("a", 16)), Verdict::kRepeat);
}

TEST(FollowPosition, ASilentStreamIsReadFromItsBeginning) {
  FollowPosition position(Tail(10));
  Take(position, Announce("a"));
  ASSERT_EQ(position.Request(false).cursors_size(), 1);
  EXPECT_EQ(position.Request(false).cursors(0).offset(), 0);
}

TEST(FollowPosition, OnlyNewStaysOnlyNewForASilentStream) {
  FollowPosition position(Tail(0));
  Take(position, Announce("a"));
  EXPECT_EQ(position.Request(false).cursors_size(), 0);
  EXPECT_EQ(position.Request(false).start_case(), v1::FollowRequest::kTailLines);
}

TEST(FollowPosition, TheFirstCallToAnotherOwnerBeginsWhereItWasAskedFor) {
  v1::FollowRequest first;
  first.set_tail_lines(10);
  FollowPosition position(first);
  v1::FollowResponse announce = Announce("a");
  v1::FollowResponse chunk = Chunk("a", 100, "abc");
  position.Accept(announce);
  position.Accept(chunk);
  v1::FollowResponse owner, late;
  owner.mutable_owner()->set_job_uid("elsewhere");
  owner.mutable_owner()->set_attempt(1);
  late.mutable_owner()->set_job_uid("late");
  late.mutable_owner()->set_attempt(1);
  late.mutable_owner()->set_late(true);
  EXPECT_EQ(position.Accept(owner), Verdict::kRepeat);
  EXPECT_EQ(position.Accept(late), Verdict::kRepeat);
  const v1::FollowRequest request = position.Request(/*first=*/true);
  EXPECT_EQ(request.tail_lines(), 10);
  ASSERT_EQ(request.cursors_size(), 2);
  EXPECT_EQ(request.cursors(0).job_uid(), "a");
  EXPECT_EQ(request.cursors(0).offset(), 103);
  EXPECT_EQ(request.cursors(1).job_uid(), "late");
  EXPECT_EQ(request.cursors(1).offset(), 0);
}

}  // namespace
}  // namespace riseml::cli
