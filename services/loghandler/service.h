// riseml.v1.LogService as gRPC sees it.
#pragma once

#include "riseml/v1/log.grpc.pb.h"
#include "services/loghandler/follow/follow_handler.h"
#include "services/loghandler/ingest/ingest_handler.h"

namespace riseml::loghandler {

class LogServiceAdapter final : public v1::LogService::CallbackService {
 public:
  // Both must outlive this object.
  LogServiceAdapter(FollowHandler& follow, IngestHandler& ingest) : follow_(follow), ingest_(ingest) {}

  grpc::ServerWriteReactor<v1::FollowResponse>* Follow(grpc::CallbackServerContext* context,
                                                       const v1::FollowRequest* request) override {
    return follow_.Follow(context, request);
  }
  grpc::ServerBidiReactor<v1::IngestRequest, v1::IngestResponse>* Ingest(
      grpc::CallbackServerContext* context) override {
    return ingest_.Ingest(context);
  }

 private:
  FollowHandler& follow_;
  IngestHandler& ingest_;
};

}  // namespace riseml::loghandler
