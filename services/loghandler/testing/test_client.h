// A shipper and a reader of logs, for tests.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "riseml/v1/log.grpc.pb.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"
#include "services/loghandler/store/stream_id.h"
#include "services/loghandler/testing/test_support.h"

namespace riseml::loghandler {

// One Ingest call. Lives on one thread.
class TestShipper {
 public:
  TestShipper(v1::LogService::Stub& stub, const std::string& token) {
    rpc::Prepare(context_, absl::Seconds(60), "shipper", token);
    call_ = stub.Ingest(&context_);
    v1::IngestRequest request;
    request.mutable_hello();
    call_->Write(request);
  }
  bool Send(const v1::LogBlock& block) {
    v1::IngestRequest request;
    *request.mutable_block() = block;
    return call_->Write(request);
  }
  bool SendEnd(std::int64_t final_offset) {
    v1::IngestRequest request;
    request.mutable_end()->set_final_offset(final_offset);
    return call_->Write(request);
  }
  void HalfClose() { call_->WritesDone(); }
  // The next answer; nullopt when the call is over.
  std::optional<v1::IngestResponse> Answer() {
    v1::IngestResponse response;
    if (!call_->Read(&response)) return std::nullopt;
    return response;
  }
  // Reads answers until the offset is durable. False when the call ends before.
  bool WaitDurable(std::int64_t offset) {
    while (const auto answer = Answer()) {
      if (answer->expected_offset() >= offset) return true;
    }
    return false;
  }
  bool WaitComplete() {
    while (const auto answer = Answer()) {
      if (answer->complete()) return true;
    }
    return false;
  }
  absl::Status Finish() {
    call_->WritesDone();
    while (Answer()) {
    }
    return rpc::FromGrpc(call_->Finish());
  }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::IngestRequest, v1::IngestResponse>> call_;
};

// Sends a whole log in blocks of random size, some of them twice, and its end. True when all is stored.
inline bool ShipLog(v1::LogService::Stub& stub, const StreamId& id, const std::string& token, const std::string& log,
                    std::mt19937& random) {
  TestShipper shipper(stub, token);
  const auto begin = shipper.Answer();
  if (!begin) return false;
  for (std::int64_t at = begin->expected_offset(); at < static_cast<std::int64_t>(log.size());) {
    const std::int64_t first =
        std::max<std::int64_t>(0, at - static_cast<std::int64_t>(random() % 3 == 0 ? random() % 5000 : 0));
    const auto length = std::min<std::int64_t>(1 + random() % 50'000, log.size() - first);
    if (!shipper.Send(ZstdBlock(first, absl::string_view(log).substr(first, length)))) return false;
    at = std::max(at, first + length);
  }
  EXPECT_TRUE(IsValid(id));
  return shipper.SendEnd(log.size()) && shipper.WaitComplete() && shipper.Finish().ok();
}

// Content of one stream as a reader has received it.
struct ReadStream {
  std::string job;
  std::int64_t first_offset = -1;
  std::string bytes;  // lost ones as '#'
  int gaps = 0;
  std::optional<v1::LogEnd> end;
  std::optional<v1::LogOwner> owner;
  std::int64_t next() const { return first_offset + static_cast<std::int64_t>(bytes.size()); }
};

// One Follow call. Lives on one thread.
class TestReader {
 public:
  TestReader(v1::LogService::Stub& stub, const std::string& key, const v1::FollowRequest& request) {
    rpc::Prepare(context_, absl::Seconds(60), "reader", key);
    call_ = stub.Follow(&context_, request);
  }
  // Takes the next message and checks that it follows on what came before. False when the call is over.
  bool Next() {
    v1::FollowResponse response;
    if (!call_->Read(&response)) return false;
    switch (response.event_case()) {
      case v1::FollowResponse::kStream:
        Of(response.stream()).job = response.stream().job();
        break;
      case v1::FollowResponse::kChunk:
        EXPECT_LE(response.chunk().data().size(), 256u * 1024);
        Add(response.chunk(), response.chunk().data());
        break;
      case v1::FollowResponse::kGap:
        Add(response.gap(), std::string(response.gap().length(), '#'));
        ++Of(response.gap()).gaps;
        break;
      case v1::FollowResponse::kEnd:
        EXPECT_FALSE(Of(response.end()).end.has_value());
        Of(response.end()).end = response.end();
        break;
      case v1::FollowResponse::kHeartbeat:
        ++heartbeats;
        break;
      case v1::FollowResponse::kOwner:
        EXPECT_FALSE(Of(response.owner()).owner.has_value());
        Of(response.owner()).job = response.owner().job();
        Of(response.owner()).owner = response.owner();
        break;
      case v1::FollowResponse::EVENT_NOT_SET:
        ADD_FAILURE() << "empty message";
    }
    return true;
  }
  // Reads until the predicate holds. False when the call ends before.
  template <class Predicate>
  bool NextUntil(Predicate predicate) {
    while (!predicate()) {
      if (!Next()) return false;
    }
    return true;
  }
  absl::Status Finish() {
    while (Next()) {
    }
    return rpc::FromGrpc(call_->Finish());
  }
  void Cancel() { context_.TryCancel(); }
  ReadStream& operator[](const StreamId& id) { return streams[id]; }

  std::map<StreamId, ReadStream> streams;
  int heartbeats = 0;

 private:
  template <class Event>
  ReadStream& Of(const Event& event) {
    return streams[{event.job_uid(), event.attempt()}];
  }
  template <class Event>
  void Add(const Event& event, const std::string& bytes) {
    ReadStream& stream = Of(event);
    EXPECT_FALSE(stream.job.empty()) << "bytes before the stream was named";
    EXPECT_FALSE(stream.end.has_value()) << "bytes after the end";
    if (stream.first_offset < 0) stream.first_offset = event.first_offset();
    EXPECT_EQ(event.first_offset(), stream.next());
    stream.bytes += bytes;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::FollowResponse>> call_;
};

inline v1::FollowRequest FollowFor(const std::string& name) {
  v1::FollowRequest request;
  request.set_name(name);
  return request;
}

}  // namespace riseml::loghandler
