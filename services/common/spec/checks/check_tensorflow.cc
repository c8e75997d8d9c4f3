#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/checks/check.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLongestTag = 128;

// Digits, point, digits, point, digits at the front.
bool BeginsWithThreeNumbers(absl::string_view text) {
  for (int part = 0; part < 3; ++part) {
    if (part > 0 && !absl::ConsumePrefix(&text, ".")) return false;
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0) return false;
    text.remove_prefix(digits);
  }
  return true;
}

// Characters that may stand in the tag of an image.
bool IsTag(absl::string_view text) {
  const auto is_tag = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= kLongestTag && std::all_of(text.begin(), text.end(), is_tag);
}

absl::StatusOr<std::string> CheckVersion(const View& view) {
  constexpr absl::string_view kInstead = "write all three numbers, version: 1.5.0, or version: latest";
  if (view.is_null()) return std::string();
  if (view.node().kind != Kind::kText) return view.FailType("'string', 'null'", kInstead);
  const std::string& text = view.node().text;
  if (IsTag(text) && (BeginsWithThreeNumbers(text) || absl::EndsWith(text, "latest"))) return text;
  return view.Fail(absl::StrCat(PythonText(view.node()), " does not match '^\\d+\\.\\d+\\.\\d+|latest$': ", kInstead));
}

absl::StatusOr<std::string> CheckHorovodVersion(const View& view) {
  constexpr absl::string_view kInstead = "write all three numbers, version: 0.11.3";
  if (view.is_null()) return std::string();
  if (view.node().kind != Kind::kText) return view.FailType("'string', 'null'", kInstead);
  if (IsTag(view.node().text)) return view.node().text;
  return view.Fail(absl::StrCat(PythonText(view.node()), " does not match '^[A-Za-z0-9._-]+$': ", kInstead));
}

// The resources of a part of a distributed job: the parent's when there are none of its own.
absl::StatusOr<Resources> PartResources(const View& part, const Resources& parent) {
  const std::optional<View> resources = part.Find("resources");
  if (!resources || resources->is_empty_map()) return parent;
  return CheckResources(*resources);
}

struct Replicas {
  int count = 1;
  Resources resources;
};

// `ps: 2`, or `ps: {count: 2, resources: …}`.
absl::StatusOr<Replicas> CheckReplicas(const View& view, const Resources& parent) {
  constexpr absl::string_view kInstead = "write a number of 1 or more, or {count: N, resources: {…}}";
  Replicas replicas{1, parent};
  if (view.node().kind == Kind::kInteger) {
    RISEML_ASSIGN_OR_RETURN(replicas.count, view.Integer(1, kInstead));
    return replicas;
  }
  if (view.node().kind != Kind::kMapping) return view.FailForms(kInstead);
  RISEML_RETURN_IF_ERROR(view.IsObject(kReplicasObject));
  if (const auto count = view.Find("count")) {
    RISEML_ASSIGN_OR_RETURN(replicas.count, count->Integer(1, kInstead));
  }
  RISEML_ASSIGN_OR_RETURN(replicas.resources, PartResources(view, parent));
  return replicas;
}

// Null and {} mean the section is not wanted.
absl::StatusOr<bool> IsWanted(const View& view, absl::string_view instead) {
  if (view.is_null() || view.is_empty_map()) return false;
  if (view.node().kind != Kind::kMapping) return view.FailForms(instead);
  return true;
}

absl::StatusOr<std::optional<Distributed>> CheckDistributed(const View& given, const Resources& parent) {
  const View view = given.OneOfForms();
  RISEML_ASSIGN_OR_RETURN(const bool wanted,
                          IsWanted(view, "write {ps: N, worker: N}, or leave the key out to train in one process"));
  if (!wanted) return std::nullopt;
  RISEML_RETURN_IF_ERROR(view.IsObject(kDistributedObject));
  Distributed parts;
  parts.master = parts.worker = parts.ps = parent;
  if (const auto ps = view.Find("ps")) {
    RISEML_ASSIGN_OR_RETURN(const Replicas replicas, CheckReplicas(*ps, parent));
    parts.ps_count = replicas.count;
    parts.ps = replicas.resources;
  }
  if (const auto worker = view.Find("worker")) {
    RISEML_ASSIGN_OR_RETURN(const Replicas replicas, CheckReplicas(*worker, parent));
    parts.worker_count = replicas.count;
    parts.worker = replicas.resources;
  }
  if (const auto master = view.Find("master")) {
    RISEML_RETURN_IF_ERROR(master->IsObject(kMasterObject));
    RISEML_ASSIGN_OR_RETURN(parts.master, PartResources(*master, parent));
  }
  return parts;
}

// `workers: 2`, or `workers: {count: 2, processes: 4}`.
absl::Status CheckHorovodWorkers(const View& view, Horovod& horovod) {
  constexpr absl::string_view kInstead = "write a number of 1 or more, or {count: N, processes: N}";
  if (view.node().kind == Kind::kInteger) {
    RISEML_ASSIGN_OR_RETURN(horovod.worker_count, view.Integer(1, kInstead));
    return absl::OkStatus();
  }
  if (view.node().kind != Kind::kMapping) return view.FailForms(kInstead);
  RISEML_RETURN_IF_ERROR(view.IsObject(kHorovodWorkersObject));
  if (const auto count = view.Find("count")) {
    RISEML_ASSIGN_OR_RETURN(horovod.worker_count, count->Integer(1, kInstead));
  }
  const auto processes = view.Find("processes");
  if (!processes || processes->is_null()) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(horovod.processes, processes->Integer(1, kInstead));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Horovod>> CheckHorovod(const View& given) {
  const View view = given.OneOfForms();
  RISEML_ASSIGN_OR_RETURN(const bool wanted,
                          IsWanted(view, "write {workers: N}, or leave the key out to train in one process"));
  if (!wanted) return std::nullopt;
  RISEML_RETURN_IF_ERROR(view.IsObject(kHorovodObject));
  Horovod horovod;
  if (const auto version = view.Find("version")) {
    RISEML_ASSIGN_OR_RETURN(horovod.version, CheckHorovodVersion(*version));
  }
  if (const auto workers = view.Find("workers")) RISEML_RETURN_IF_ERROR(CheckHorovodWorkers(*workers, horovod));
  return horovod;
}

}  // namespace

absl::StatusOr<TensorFlow> CheckTensorFlow(const View& view, const Resources& parent) {
  RISEML_RETURN_IF_ERROR(view.IsObject(kTensorFlowObject));
  TensorFlow tensorflow;
  if (const auto version = view.Find("version")) {
    RISEML_ASSIGN_OR_RETURN(tensorflow.version, CheckVersion(*version));
  }
  if (const auto tensorboard = view.Find("tensorboard")) {
    RISEML_ASSIGN_OR_RETURN(tensorflow.tensorboard, tensorboard->Boolean("write true or false"));
  }
  if (const auto distributed = view.Find("distributed")) {
    RISEML_ASSIGN_OR_RETURN(tensorflow.distributed, CheckDistributed(*distributed, parent));
  }
  const std::optional<View> horovod = view.Find("horovod");
  if (horovod) {
    RISEML_ASSIGN_OR_RETURN(tensorflow.horovod, CheckHorovod(*horovod));
  }
  if (tensorflow.distributed && tensorflow.horovod) {
    return horovod->FailSentence(
        "You cannot use Distributed TensorFlow and Horovod at the same time! Remove 'distributed' or 'horovod'");
  }
  return tensorflow;
}

}  // namespace riseml::spec
