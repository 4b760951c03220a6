#include "fabric/inproc.h"

#include <utility>

#include "fabric/mailbox.h"

namespace disco {
namespace {

using Mesh = std::vector<std::shared_ptr<Mailbox>>;  // by rank

class InprocFabric final : public MailboxFabric {
 public:
  InprocFabric(const Mesh& mesh, int rank)
      : MailboxFabric(mesh[static_cast<std::size_t>(rank)]), mesh_(mesh), rank_(rank) {}

  ~InprocFabric() override {
    for (const auto& mailbox : mesh_) {
      mailbox->leave(rank_);
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(mesh_.size()); }

  Status send(int peer, const MessageId& id, Payload payload) override {
    DISCO_CHECK(check_open(peer));
    count_sent(peer, payload.size);
    mesh_[static_cast<std::size_t>(peer)]->put(rank_, id, std::move(payload));
    return {};
  }

  std::string describe(int peer) const override {
    return fmt::format("node {} (a thread of this process)", peer);
  }

 private:
  Mesh mesh_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Fabric>> InprocMesh::create(int ranks) {
  Mesh mesh;
  for (int rank = 0; rank < ranks; ++rank) {
    mesh.push_back(std::make_shared<Mailbox>(static_cast<std::size_t>(ranks)));
  }
  std::vector<std::unique_ptr<Fabric>> ends;
  for (int rank = 0; rank < ranks; ++rank) {
    ends.push_back(std::make_unique<InprocFabric>(mesh, rank));
  }
  return ends;
}

}  // namespace disco
