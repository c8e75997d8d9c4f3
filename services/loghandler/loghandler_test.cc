// Logs of a whole log handler: shipped, followed, read again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/loghandler/testing/fake_disk.h"
#include "services/loghandler/testing/loghandler_fixture.h"

namespace riseml::loghandler {
namespace {

TEST_F(LogHandlerTest, AWholeLogComesOutExactlyAsItWasPrinted) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 3'000'000);
  ASSERT_TRUE(Ship(id, log));
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), static_cast<std::int64_t>(log.size()));
  api_->EndRoot(kRoot);
  TestReader reader = Follow();
  EXPECT_TRUE(reader.Finish().ok());
  ASSERT_EQ(reader.streams.size(), 1u);
  EXPECT_EQ(reader[id].job, absl::StrCat(kRoot, "/jobs/train"));
  EXPECT_TRUE(reader[id].bytes == log);
  ASSERT_TRUE(reader[id].end.has_value());
  EXPECT_TRUE(reader[id].end->complete());
  EXPECT_EQ(reader[id].end->final_offset(), static_cast<std::int64_t>(log.size()));
}

TEST_F(LogHandlerTest, AFollowerThatWaitsGetsTheSameBytesAsOneThatComesLater) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 1'000'000);
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return reader.streams.size() == 1; }));
  std::jthread ship([&] {
    EXPECT_TRUE(Ship(id, log));
    api_->EndRoot(kRoot);
  });
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_TRUE(reader[id].bytes == log);
}

TEST_F(LogHandlerTest, EachByteIsSeenBeforeTheNextIsPrinted) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  TestReader reader = Follow();
  for (std::int64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(shipper.Send(PlainBlock(i, "x")));
    ASSERT_TRUE(reader.NextUntil([&] { return static_cast<std::int64_t>(reader[id].bytes.size()) == i + 1; }));
  }
  reader.Cancel();
}

TEST_F(LogHandlerTest, AFollowerGoesOnAcrossARestartByItsCursor) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 500'000);
  {
    TestShipper shipper(*stub_, FakeApi::TokenOf(id));
    ASSERT_TRUE(shipper.Send(PlainBlock(0, log.substr(0, 200'000))));
    ASSERT_TRUE(shipper.WaitDurable(200'000));
  }
  TestReader before = Follow();
  ASSERT_TRUE(before.NextUntil([&] { return before[id].bytes.size() == 200'000; }));
  handler_->Stop(absl::Seconds(5));
  const absl::Status ended = before.Finish();
  EXPECT_TRUE(HasReason(ended, Reason::kShuttingDown)) << ended;
  Start();
  v1::FollowRequest request = FollowFor(kRoot);
  v1::StreamCursor* cursor = request.add_cursors();
  cursor->set_job_uid(id.job_uid);
  cursor->set_attempt(id.attempt);
  cursor->set_offset(before[id].next());
  TestReader after = Follow(request);
  ASSERT_TRUE(Ship(id, log));
  api_->EndRoot(kRoot);
  EXPECT_TRUE(after.Finish().ok());
  EXPECT_EQ(after[id].first_offset, 200'000);
  EXPECT_TRUE(before[id].bytes + after[id].bytes == log);
}

TEST_F(LogHandlerTest, BytesThatAreMissingAreAskedFor) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  EXPECT_EQ(shipper.Answer()->expected_offset(), 0);
  ASSERT_TRUE(shipper.Send(PlainBlock(0, "abc")));
  ASSERT_TRUE(shipper.WaitDurable(3));
  ASSERT_TRUE(shipper.Send(PlainBlock(5, "fgh")));
  EXPECT_EQ(shipper.Answer()->expected_offset(), 3);
  ASSERT_TRUE(shipper.Send(PlainBlock(3, "defgh")));
  EXPECT_EQ(shipper.Answer()->expected_offset(), 8);
  ASSERT_TRUE(shipper.SendEnd(9));
  EXPECT_EQ(shipper.Answer()->expected_offset(), 8);
  ASSERT_TRUE(shipper.SendEnd(8));
  EXPECT_TRUE(shipper.WaitComplete());
  EXPECT_TRUE(shipper.Finish().ok());
  TestShipper again(*stub_, FakeApi::TokenOf(id));
  const auto answer = again.Answer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->expected_offset(), 8);
  EXPECT_TRUE(answer->complete());
}

TEST_F(LogHandlerTest, ANewCallTakesOver) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper older(*stub_, FakeApi::TokenOf(id));
  ASSERT_TRUE(older.Answer().has_value());
  TestShipper newer(*stub_, FakeApi::TokenOf(id));
  EXPECT_TRUE(newer.Answer().has_value());
  EXPECT_TRUE(absl::IsAborted(older.Finish()));
  ASSERT_TRUE(newer.Send(PlainBlock(0, "abc")));
  EXPECT_TRUE(newer.WaitDurable(3));
  EXPECT_TRUE(newer.Finish().ok());
}

TEST_F(LogHandlerTest, WhatIsWrongIsRefused) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const auto after = [&](auto&& send) {
    TestShipper shipper(*stub_, FakeApi::TokenOf(id));
    send(shipper);
    return shipper.Finish();
  };
  v1::LogBlock bad = PlainBlock(0, "abc");
  bad.set_crc(1);
  EXPECT_TRUE(absl::IsInvalidArgument(after([&](TestShipper& s) { s.Send(bad); })));
  v1::LogBlock bomb = ZstdBlock(0, std::string(4 << 20, 'x'));
  bomb.set_raw_length(kMaxRawLength);
  EXPECT_TRUE(absl::IsInvalidArgument(after([&](TestShipper& s) { s.Send(bomb); })));
  EXPECT_TRUE(absl::IsInvalidArgument(after([&](TestShipper& s) { s.Send(v1::LogBlock()); })));
  EXPECT_TRUE(after([](TestShipper&) {}).ok());
  TestShipper stranger(*stub_, "token-of-nobody");
  EXPECT_TRUE(absl::IsUnauthenticated(stranger.Finish()));
  TestShipper user(*stub_, kKey);
  EXPECT_TRUE(absl::IsUnauthenticated(user.Finish()));
}

TEST_F(LogHandlerTest, WhatIsNotOursDoesNotExist) {
  api_->AddRoot("users/anna/experiments/1", "other-key");
  const absl::Status foreign = FollowStatus(FollowFor("users/anna/experiments/1"));
  const absl::Status absent = FollowStatus(FollowFor("users/anna/experiments/2"));
  EXPECT_TRUE(HasReason(foreign, Reason::kNotFound)) << foreign;
  EXPECT_EQ(foreign, absent);
  EXPECT_TRUE(absl::IsUnauthenticated(FollowStatus(FollowFor(kRoot), "no-such-key")));
}

TEST_F(LogHandlerTest, BadRequestsSayWhatIsWrong) {
  const StreamId id = api_->AddStream(kRoot, "train");
  EXPECT_TRUE(absl::IsInvalidArgument(FollowStatus(v1::FollowRequest())));
  v1::FollowRequest request = FollowFor(kRoot);
  request.set_tail_lines(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(FollowStatus(request)));
  request.set_from_offset(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(FollowStatus(request)));
  request = FollowFor(kRoot);
  request.add_cursors()->set_job_uid("../../x");
  EXPECT_TRUE(absl::IsInvalidArgument(FollowStatus(request)));
  request.mutable_cursors(0)->set_job_uid(id.job_uid);
  request.mutable_cursors(0)->set_attempt(1);
  request.mutable_cursors(0)->set_offset(1);
  EXPECT_TRUE(absl::IsOutOfRange(FollowStatus(request)));
}

TEST_F(LogHandlerTest, TailAndNoFollowStopAtThePresentEnd) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  ASSERT_TRUE(shipper.Send(PlainBlock(0, "one\ntwo\nthree\nfour")));
  ASSERT_TRUE(shipper.WaitDurable(18));
  v1::FollowRequest request = FollowFor(kRoot);
  request.set_no_follow(true);
  TestReader all = Follow(request);
  EXPECT_TRUE(all.Finish().ok());
  EXPECT_EQ(all[id].bytes, "one\ntwo\nthree\nfour");
  EXPECT_FALSE(all[id].end.has_value());
  request.set_tail_lines(2);
  TestReader tail = Follow(request);
  EXPECT_TRUE(tail.Finish().ok());
  EXPECT_EQ(tail[id].bytes, "three\nfour");
  EXPECT_EQ(tail[id].first_offset, 8);
  request.set_tail_lines(0);
  TestReader none = Follow(request);
  EXPECT_TRUE(none.Finish().ok());
  EXPECT_EQ(none[id].bytes, "");
  request.set_from_offset(4);
  TestReader from = Follow(request);
  EXPECT_TRUE(from.Finish().ok());
  EXPECT_EQ(from[id].bytes, "two\nthree\nfour");
  request.set_from_offset(1000);
  TestReader beyond = Follow(request);
  EXPECT_TRUE(beyond.Finish().ok());
  EXPECT_EQ(beyond[id].bytes, "");
}

TEST_F(LogHandlerTest, TimesComeWithTheBytes) {
  const StreamId id = api_->AddStream(kRoot, "train");
  v1::LogBlock block = PlainBlock(0, "abcdef");
  for (const std::int64_t n : std::vector<std::int64_t>{0, 1'700'000'000'123, 4, 1'700'000'000'200}) block.add_times(n);
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  shipper.Send(block);
  ASSERT_TRUE(shipper.WaitDurable(6));
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(30), "times", kKey);
  v1::FollowRequest request = FollowFor(kRoot);
  request.set_from_offset(2);
  const auto call = stub_->Follow(&context, request);
  v1::FollowResponse response;
  while (!response.has_chunk()) ASSERT_TRUE(call->Read(&response));
  ASSERT_EQ(response.chunk().times_size(), 2);
  EXPECT_EQ(response.chunk().times(0).offset(), 2);
  EXPECT_EQ(response.chunk().times(0).time().seconds(), 1'700'000'000);
  EXPECT_EQ(response.chunk().times(0).time().nanos(), 123'000'000);
  EXPECT_EQ(response.chunk().times(1).offset(), 4);
  context.TryCancel();
}

TEST_F(LogHandlerTest, OneCallFollowsAllOfASetAndWhatComesLater) {
  std::map<StreamId, std::string> logs;
  for (int i = 0; i < 20; ++i)
    logs[api_->AddStream(kRoot, absl::StrCat("train", i))] = RandomLog(random_, 1 + random_() % 400'000);
  v1::FollowRequest request = FollowFor(kRoot);
  request.set_tail_lines(0);  // of streams there are; later ones from their beginning
  TestReader reader = Follow(request);
  ASSERT_TRUE(reader.NextUntil([&] { return reader.streams.size() == logs.size(); }));
  std::jthread ship([&] {
    const StreamId late = api_->AddStream(kRoot, "late");
    std::map<StreamId, std::string> all = logs;
    all[late] = "printed later";
    for (const auto& [id, log] : all) EXPECT_TRUE(Ship(id, log));
    api_->EndRoot(kRoot);
  });
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader.streams.size(), 21u);
  for (const auto& [id, stream] : reader.streams) {
    EXPECT_TRUE(stream.bytes == (logs.contains(id) ? logs[id] : "printed later"));
    EXPECT_TRUE(stream.end.has_value());
  }
}

TEST_F(LogHandlerTest, AJobIsFollowedWithoutItsSiblings) {
  const StreamId mine = api_->AddStream(kRoot, "a");
  const StreamId sibling = api_->AddStream(kRoot, "b");
  ASSERT_TRUE(Ship(mine, "mine"));
  ASSERT_TRUE(Ship(sibling, "not mine"));
  api_->EndRoot(kRoot);
  TestReader reader = Follow(FollowFor(absl::StrCat(kRoot, "/jobs/a")));
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader.streams.size(), 1u);
  EXPECT_EQ(reader[mine].bytes, "mine");
}

TEST_F(LogHandlerTest, SilenceIsFilledWithHeartbeats) {
  options_.follow.heartbeat = absl::Milliseconds(20);
  Start();
  api_->AddStream(kRoot, "train");
  TestReader reader = Follow();
  EXPECT_TRUE(reader.NextUntil([&] { return reader.heartbeats == 3; }));
  reader.Cancel();
}

TEST_F(LogHandlerTest, OneUserCannotTakeTheReadersOfOthers) {
  options_.follow.max_followers = 4;
  options_.follow.max_followers_per_user = 2;
  Start();
  const std::string theirs = "users/other/experiments/1";
  api_->AddRoot(theirs, "other-key");
  const StreamId own = api_->AddStream(kRoot, "train"), other = api_->AddStream(theirs, "train");
  std::list<TestReader> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back(*stub_, kKey, FollowFor(kRoot));
    ASSERT_TRUE(readers.back().NextUntil([&] { return readers.back().streams.contains(own); }));
  }
  const absl::Status refused = FollowStatus(FollowFor(kRoot));
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_THAT(refused.message(), ::testing::HasSubstr("you have 2 readers of logs already, of at most 2"));
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  TestReader reader(*stub_, "other-key", FollowFor(theirs));
  EXPECT_TRUE(reader.NextUntil([&] { return reader.streams.contains(other); }));
  reader.Cancel();
  // A place that became free is free again.
  readers.front().Cancel();
  readers.pop_front();
  while (true) {
    TestReader next = Follow();
    if (next.Next()) {
      next.Cancel();
      break;
    }
    ASSERT_TRUE(HasReason(next.Finish(), Reason::kLimitExceeded));
  }
}

TEST_F(LogHandlerTest, OneUserCannotFillTheMemoryWithCursors) {
  options_.follow.max_cursors_per_user = 3;
  Start();
  const StreamId own = api_->AddStream(kRoot, "train");
  v1::FollowRequest request = FollowFor(kRoot);
  for (int i = 0; i < 2; ++i) {
    v1::StreamCursor* const cursor = request.add_cursors();
    cursor->set_job_uid(NewUuid());
    cursor->set_attempt(1);
  }
  TestReader reader(*stub_, kKey, request);
  EXPECT_TRUE(reader.NextUntil([&] { return reader.streams.contains(own); }));
  const absl::Status refused = FollowStatus(request);
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  reader.Cancel();
}

TEST_F(LogHandlerTest, ManyReadersAndShippersAtOnce) {
  constexpr int kStreams = 6;
  std::vector<StreamId> ids;
  std::vector<std::string> logs;
  for (int i = 0; i < kStreams; ++i) {
    ids.push_back(api_->AddStream(kRoot, absl::StrCat("t", i)));
    logs.push_back(RandomLog(random_, 200'000));
  }
  std::vector<std::jthread> threads;
  for (int r = 0; r < 8; ++r) {
    threads.emplace_back([&] {
      TestReader reader = Follow();
      EXPECT_TRUE(reader.Finish().ok());
      for (int i = 0; i < kStreams; ++i) EXPECT_TRUE(reader[ids[i]].bytes == logs[i]);
    });
  }
  std::vector<std::jthread> shippers;
  for (int i = 0; i < kStreams; ++i) {
    shippers.emplace_back([&, i] {
      std::mt19937 random(i);
      EXPECT_TRUE(ShipLog(*stub_, ids[i], FakeApi::TokenOf(ids[i]), logs[i], random));
    });
  }
  shippers.clear();
  api_->EndRoot(kRoot);
}

TEST_F(LogHandlerTest, ASlowDiskDelaysAcknowledgementsAndNothingElse) {
  const auto disk = std::make_shared<FakeDisk>();
  options_.store.disk = disk;
  options_.store.stream.segment_bytes = 10'000;
  Start();
  const StreamId done = api_->AddStream(kRoot, "done");
  ASSERT_TRUE(Ship(done, "printed before"));
  std::atomic<bool> hold{true};
  std::atomic<bool> held{false};
  disk->on_sync = [&](int) {
    held = true;
    while (hold) std::this_thread::yield();
    return 0;
  };
  // More shippers than threads, each with more than a segment.
  const std::string log = RandomLog(random_, 50'000);
  std::vector<StreamId> ids;
  std::list<TestShipper> shippers;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(api_->AddStream(kRoot, absl::StrCat("slow", i)));
    TestShipper& shipper = shippers.emplace_back(*stub_, FakeApi::TokenOf(ids.back()));
    EXPECT_EQ(shipper.Answer()->expected_offset(), 0);
    for (std::size_t at = 0; at < log.size(); at += 5'000)
      ASSERT_TRUE(shipper.Send(PlainBlock(at, log.substr(at, 5'000))));
    ASSERT_TRUE(shipper.SendEnd(log.size()));
  }
  while (!held) std::this_thread::yield();
  TestReader reader = Follow();
  EXPECT_TRUE(reader.NextUntil([&] { return reader[done].end.has_value(); }));
  EXPECT_EQ(reader[done].bytes, "printed before");
  TestShipper late(*stub_, FakeApi::TokenOf(api_->AddStream(kRoot, "late")));
  EXPECT_TRUE(late.Answer().has_value());
  hold = false;
  for (TestShipper& shipper : shippers) EXPECT_TRUE(shipper.WaitComplete());
  EXPECT_TRUE(reader.NextUntil([&] {
    return std::all_of(ids.begin(), ids.end(), [&](const StreamId& id) { return reader[id].end.has_value(); });
  }));
  for (const StreamId& id : ids) EXPECT_TRUE(reader[id].bytes == log);
  reader.Cancel();
}

TEST_F(LogHandlerTest, StopsWithCallsOpen) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return reader.streams.size() == 1; }));
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  ASSERT_TRUE(shipper.Answer().has_value());
  handler_->Stop(absl::Seconds(5));
  EXPECT_TRUE(HasReason(reader.Finish(), Reason::kShuttingDown));
  EXPECT_TRUE(HasReason(shipper.Finish(), Reason::kShuttingDown));
}

}  // namespace
}  // namespace riseml::loghandler
