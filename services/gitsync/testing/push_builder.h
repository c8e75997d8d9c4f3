// Makes pushes by hand, good ones and bad ones, for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "riseml/v1/file.pb.h"
#include "services/common/git/tree.h"
#include "services/common/push/frame_packer.h"

namespace riseml::gitsync {

class PushBuilder {
 public:
  // Objects that travel; each returns the id.
  git::ObjectId Blob(const std::string& content) { return Add(v1::ObjectPiece::BLOB, git::ObjectKind::kBlob, content); }
  git::ObjectId Tree(std::vector<git::TreeEntry> entries) { return RawTree(git::PrintTree(entries)); }
  git::ObjectId RawTree(const std::string& content) {
    return Add(v1::ObjectPiece::TREE, git::ObjectKind::kTree, content);
  }
  // An object under an id that is not its own.
  void Forged(const git::ObjectId& id, const std::string& content) {
    objects_.push_back({v1::ObjectPiece::BLOB, id, content});
  }

  std::vector<v1::PushFrame> Frames() const {
    std::vector<v1::PushFrame> frames;
    push::FramePacker packer([&frames](const v1::PushFrame& frame) {
      frames.push_back(frame);
      return absl::OkStatus();
    });
    absl::Status status;
    for (const Object& object : objects_) {
      status.Update(packer.Begin(object.kind, object.id, static_cast<std::int64_t>(object.content.size())));
      status.Update(packer.Append(object.content));
    }
    status.Update(packer.Flush());
    return status.ok() ? frames : std::vector<v1::PushFrame>();
  }

 private:
  struct Object {
    v1::ObjectPiece::Kind kind;
    git::ObjectId id;
    std::string content;
  };
  git::ObjectId Add(v1::ObjectPiece::Kind wire, git::ObjectKind kind, const std::string& content) {
    const git::ObjectId id = git::HashObject(kind, content);
    for (const Object& object : objects_)
      if (object.id == id) return id;
    objects_.push_back({wire, id, content});
    return id;
  }
  std::vector<Object> objects_;
};

inline v1::PushHeader Header(const std::string& project, const git::ObjectId& tree, const std::string& parent = "") {
  v1::PushHeader header;
  header.set_project(project);
  header.set_tree(std::string(git::Raw(tree)));
  header.set_parent(parent);
  return header;
}

}  // namespace riseml::gitsync
