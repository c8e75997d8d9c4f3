#include "cli/render/node_view.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "cli/render/format.h"
#include "cli/render/table.h"

namespace riseml::cli {
namespace {

std::string NodePart(const v1::Node& node) { return OneLine(absl::StripPrefix(node.name(), "nodes/")); }

std::string Gib(std::int64_t bytes) { return absl::StrFormat("%.1f GiB", static_cast<double>(bytes) / (1 << 30)); }

std::int64_t GpuMemory(const v1::Node& node) {
  std::int64_t bytes = 0;
  for (const v1::Gpu& gpu : node.gpus()) bytes += gpu.memory_bytes();
  return bytes;
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : OneLine(text); }

}  // namespace

std::string NodeTable(const Terminal& terminal, const std::vector<v1::Node>& nodes, bool long_form) {
  std::vector<Column> columns = {{"NODE", 18}, {"CPU", 3}, {"MEM", 5}, {"GPU", 3}, {"GPU MEM", 7}};
  if (long_form) {
    for (const char* name :
         {"NVIDIA DRIVER", "AGENT VERSION", "KERNEL VERSION", "ISOLATION", "NETWORK", "LIMITS", "LABELS"})
      columns.push_back({name});
  }
  std::vector<std::vector<std::string>> rows;
  double cpus = 0;
  std::int64_t memory = 0, gpu_memory = 0;
  int gpus = 0;
  for (const v1::Node& node : nodes) {
    if (!node.ready()) continue;
    cpus += node.cpus();
    memory += node.memory_bytes();
    gpus += node.gpus_size();
    gpu_memory += GpuMemory(node);
    rows.push_back({NodePart(node), absl::StrFormat("%g", node.cpus()), Gib(node.memory_bytes()),
                    absl::StrCat(node.gpus_size()), Gib(GpuMemory(node))});
    if (!long_form) continue;
    for (const std::string& cell :
         {OrDash(node.gpu_driver_version()), OrDash(node.agent_version()), OrDash(node.kernel_version()),
          std::string(node.isolation() == v1::Node::BUBBLEWRAP ? "bubblewrap"
                      : node.isolation() == v1::Node::PODMAN   ? "podman"
                      : node.isolation() == v1::Node::NONE     ? "none"
                                                               : "-"),
          std::string(node.network() == v1::Node::OWN      ? "own"
                      : node.network() == v1::Node::SHARED ? "shared"
                                                           : "-"),
          std::string(node.limits_enforced() ? "enforced" : "accounted"), Pairs(node.labels())}) {
      rows.back().push_back(cell);
    }
  }
  rows.push_back({"Total", absl::StrFormat("%g", cpus), Gib(memory), absl::StrCat(gpus), Gib(gpu_memory)});
  return Table(terminal, columns, rows, 2);
}

std::string GpuTable(const Terminal& terminal, const std::vector<v1::Node>& nodes) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Node& node : nodes) {
    for (int i = 0; i < node.gpus_size(); ++i) {
      const v1::Gpu& gpu = node.gpus(i);
      rows.push_back({i == 0 ? NodePart(node) : "", i == 0 ? OrDash(node.gpu_driver_version()) : "",
                      OrDash(gpu.model()), absl::StrCat(gpu.index()), Gib(gpu.memory_bytes()), OrDash(gpu.serial())});
    }
  }
  return Table(terminal, {{"NODE", 18}, {"DRIVER"}, {"NAME"}, {"ID"}, {"MEM"}, {"SERIAL"}}, rows, 2);
}

std::string NodeNotes(const std::vector<v1::Node>& nodes) {
  std::string out;
  for (const v1::Node& node : nodes) {
    if (!node.ready()) {
      absl::StrAppend(&out, "Node ", NodePart(node), " takes no jobs",
                      node.message().empty() ? "" : absl::StrCat(": ", OneLine(node.message())), "\n");
      continue;
    }
    const std::map<std::string, std::string> data(node.data_paths().begin(), node.data_paths().end());
    for (const auto& [name, path] : data)
      absl::StrAppend(&out, "Data on ", NodePart(node), ": /data/", OneLine(name), " is ", OneLine(path), "\n");
    if (node.isolation() == v1::Node::NONE)
      absl::StrAppend(&out, "Node ", NodePart(node),
                      " does not isolate jobs: they can read the files of other jobs and of the installation\n");
    if (node.network() == v1::Node::SHARED)
      absl::StrAppend(
          &out, "Node ", NodePart(node),
          " does not give jobs a network of their own: jobs reach all ports of the machine and of other jobs",
          node.network_note().empty() ? "" : absl::StrCat(": ", OneLine(node.network_note())), "\n");
    for (const std::string& note : node.notes())
      absl::StrAppend(&out, "Node ", NodePart(node), ": ", OneLine(note), "\n");
    if (!node.limits_enforced())
      absl::StrAppend(&out, "Node ", NodePart(node),
                      " does not enforce CPU and memory limits, it only accounts for them\n");
  }
  return out;
}

}  // namespace riseml::cli
