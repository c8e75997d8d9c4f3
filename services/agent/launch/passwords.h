// Settings of proxies and package indexes that a node passes on to jobs, without the passwords in them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/agent/launch/job_variables.h"

namespace riseml::agent {

// Text without the user and password of URLs: "https://paul:secret@host/simple" becomes "https://host/simple". The user
// name is removed too, since tokens are often passed as the user name. With `bare`, also strips "paul:secret@host"
// without a scheme, a form that is common for proxies.
std::string WithoutUserinfo(absl::string_view text, bool bare);

// Files of this machine's /etc and /usr that pip, uv, conda and others read, and that name a URL with a user or
// password.
std::vector<std::string> MachineFilesWithPasswords();

struct JobSettings {
  Variables variables;                // variables of the node; those that jobs inherit have no passwords
  std::vector<std::string> stripped;  // names of variables and files that jobs get without their password
  std::vector<std::string> withheld;  // names of variables that jobs do not get, as all of the value may be a password
};

// `node` is the environment of the node itself. Checks the node's pip.conf too.
JobSettings WithoutPasswords(const Variables& node);

// Tells administrators which settings and which `hidden` files are withheld from jobs; empty if none.
std::string NoteOnPasswords(const JobSettings& settings, const std::vector<std::string>& hidden);

}  // namespace riseml::agent
