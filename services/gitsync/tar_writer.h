// Writes a deterministic pax tar: owner 0 and the same time for all entries.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::gitsync {

// Takes the next bytes of a stream.
using ByteSink = std::function<absl::Status(absl::string_view)>;

struct TarOptions {
  absl::Time modified;          // of all entries
  bool group_writable = false;  // group 0 may write what owner 0 may write
};

// Lives on one thread. The sink gets pieces of at most 256 KiB; the caller keeps the entries sorted.
class TarWriter {
 public:
  TarWriter(const TarOptions& options, ByteSink sink);

  absl::Status AddDirectory(absl::string_view path);
  absl::Status AddFile(absl::string_view path, bool executable, absl::string_view content);
  absl::Status AddLink(absl::string_view path, absl::string_view target);
  // Ends the archive and passes the rest to the sink.
  absl::Status Finish();

 private:
  struct Header {
    std::string path;
    std::string link;
    std::int64_t size = 0;
    int mode = 0;
    char type = '0';
  };
  absl::Status AddHeader(const Header& header);
  absl::Status AddBlock(const Header& header);
  absl::Status Write(absl::string_view bytes);
  absl::Status Pad(std::size_t size);

  const std::int64_t modified_;
  const int group_bits_;
  const ByteSink sink_;
  std::string buffer_;
};

}  // namespace riseml::gitsync
