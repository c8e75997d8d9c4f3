// Text about what is missing of a log.
#pragma once

#include <string>

#include "riseml/v1/job.pb.h"

namespace riseml::cli {

// "1.2 MB of the log are not stored yet, the oldest of them since 2018-07-07T10:31:13Z"; empty if nothing waits.
std::string BacklogText(const v1::Attempt& attempt);

// "12.train: 1.2 MB of the log …", a line for each attempt of a job whose log waits; names are shortened for `caller`.
std::string BacklogLines(const v1::Job& job, const std::string& caller);

// "Log: attempt 1 is cut at 4096 bytes", or what waits; empty if the log is whole so far.
std::string LogLine(const v1::Attempt& attempt);

}  // namespace riseml::cli
