#include "services/loghandler/loghandler.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/common/kafka/settings.h"
#include "services/loghandler/partitions/partition_owners.h"

namespace riseml::loghandler {
namespace {

constexpr int kWriterThreads = 2;
constexpr int kReaderThreads = 4;

}  // namespace

LogHandler::LogHandler(prometheus::Registry& metrics)
    : metrics_(metrics), writers_(kWriterThreads), readers_(kReaderThreads) {}

absl::StatusOr<std::unique_ptr<LogHandler>> LogHandler::Start(LogHandlerOptions options, const Clock& clock,
                                                              prometheus::Registry& metrics) {
  std::unique_ptr<LogHandler> self(new LogHandler(metrics));
  std::shared_ptr<PartitionOwners> owners;
  if (options.partitions.has_value()) {
    const int partitions = options.partitions->kafka.partitions();
    owners = std::make_shared<PartitionOwners>(
        [partitions](absl::string_view job_uid) { return kafka::PartitionOf(job_uid, partitions); });
    options.owners = owners;
    options.partitions->store_dir = options.store.dir;
    options.store.stream.shared = !options.partitions->claim.instance().empty();
    // The log handler that showed a stream before may have been ahead of what is read here so far.
    options.follow.wait_for_cursor = true;
  }
  RISEML_ASSIGN_OR_RETURN(self->store_, Store::Open(std::move(options.store), clock, self->metrics_));
  self->owners_ = options.owners;
  self->authenticator_ = std::make_unique<rpc::RemoteAuthenticator>(options.api, clock);
  self->open_calls_ = std::make_unique<rpc::OpenCalls>(*self->authenticator_, options.api, clock);
  self->registry_ =
      std::make_unique<RegistryClient>(options.registry, options.api, *self->store_, *self->owners_, clock);
  self->core_ = std::make_unique<IngestCore>(*self->store_, self->metrics_);
  self->ingest_ = std::make_unique<IngestHandler>(
      *self->store_, *self->core_, [owners = self->owners_.get()](const StreamId& id) { return owners->Owns(id); },
      self->writers_, self->metrics_);
  self->follow_ = std::make_unique<FollowHandler>(options.follow, *self->store_, *self->registry_, *self->owners_,
                                                  self->readers_, *self->open_calls_, clock, self->metrics_);
  self->service_ = std::make_unique<LogServiceAdapter>(*self->follow_, *self->ingest_);
  self->store_->AddListener([handler = self.get()](const Stream& stream) {
    handler->follow_->OnNews(stream.id());
    handler->registry_->OnDurable(stream);
  });
  rpc::ServerOptions server;
  server.kind = rpc::ListenerKind::kUser;
  server.listener = options.user_listener;
  server.authenticator = self->authenticator_.get();
  server.services = {self->service_.get()};
  RISEML_ASSIGN_OR_RETURN(self->server_, rpc::Server::Start(server));
  FollowHandler* const follow = self->follow_.get();
  self->registry_->Start([follow](const std::vector<std::string>& roots) { follow->OnRootsChanged(roots); },
                         [follow](bool watching) { follow->SetWatching(watching); });
  Store* const store = self->store_.get();
  self->remover_ = std::make_unique<rpc::Remover>(
      rpc::RemoverOptions{.kind = internal::v1::ListRemovalsRequest::LOG,
                          .pause = options.removal_pause,
                          .remove = [store](const std::string& job_uid) { return store->Remove(job_uid); }},
      options.api);
  if (options.partitions.has_value()) {
    options.partitions->on_owners_changed = [handler = self.get()] {
      handler->registry_->ReportAll();
      handler->follow_->OnOwnersChanged();
    };
    internal::v1::PartitionClaim& claim = options.partitions->claim;
    if (claim.address().empty()) claim.set_address(absl::StrCat("127.0.0.1:", self->port()));
    self->partitions_ = std::make_unique<PartitionConsumer>(*std::move(options.partitions), *self->store_, *self->core_,
                                                            *owners, self->metrics_, clock);
  }
  return self;
}

void LogHandler::Stop(absl::Duration grace) {
  partitions_.reset();
  remover_.reset();
  if (follow_ != nullptr) follow_->Stop();
  if (ingest_ != nullptr) ingest_->Stop();
  if (server_ != nullptr) server_->Shutdown(grace);
  writers_.Stop();
  readers_.Stop();
  if (store_ != nullptr) store_->Stop();
  if (registry_ != nullptr) registry_->Stop();
}

}  // namespace riseml::loghandler
