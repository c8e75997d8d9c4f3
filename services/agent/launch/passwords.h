// Settings of proxies and package indexes that a node passes on to jobs, without the passwords in them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Text without the user and password of URLs: "https://paul:secret@host/simple" becomes "https://host/simple". Many
// tokens are user names, therefore these go too. With `bare` also "paul:secret@host" without a scheme, as proxies are
// written.
std::string WithoutUserinfo(absl::string_view text, bool bare);

// Files of this machine's /etc and /usr that pip, uv, conda and others read, and that name a URL with a user or
// password.
std::vector<std::string> MachineFilesWithPasswords();

struct JobSettings {
  Variables variables;                // the node's own, those that jobs inherit without passwords
  std::vector<std::string> stripped;  // names of what jobs get without the password it holds
  std::vector<std::string> withheld;  // names of what they do not get, since all of it may be one
};

// `node` is the environment of the node itself, its pip.conf is looked at.
JobSettings WithoutPasswords(const Variables& node);

// A sentence for administrators on `settings` and files that are hidden from jobs; empty: nothing is kept from them.
std::string NoteOnPasswords(const JobSettings& settings, const std::vector<std::string>& hidden);

}  // namespace riseml::agent
