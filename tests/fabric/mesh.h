#pragma once
// Meshes of ranks that are threads of one process, over every transport, for tests.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/inproc.h"
#include "fabric/mpi.h"
#include "fabric/tcp_fabric.h"
#include "fabric/zmq_fabric.h"

namespace disco::testing {

using namespace std::chrono_literals;

#ifdef DISCO_TEST_MPI
/// The test's own job of one process.
MpiWorld& mpi_world();
inline std::vector<std::string> transports() { return {"mpi"}; }
#else
inline std::vector<std::string> transports() { return {"inproc", "tcp", "zmq", "curve"}; }
#endif

/// As many key pairs.
inline std::vector<KeyPair::Shared> make_keys(int ranks) {
  std::vector<KeyPair::Shared> keys;
  for (int rank = 0; rank < ranks; ++rank) {
    keys.push_back(KeyPair::make().value());
  }
  return keys;
}

/// What rank `rank` of a mesh of these is told.
inline ZmqOptions options_of(const std::vector<KeyPair::Shared>& keys, int rank, ZmqOptions options = {}) {
  options.socket.keys = keys.at(static_cast<std::size_t>(rank));
  for (const KeyPair::Shared& key : keys) {
    options.members.push_back(key->public_key());
  }
  return options;
}

/// The same for the other transport between processes.
inline TcpOptions tcp_options(const ZmqOptions& options) {
  return {.heartbeat_interval = options.socket.heartbeat_interval,
          .heartbeat_timeout = options.socket.heartbeat_timeout,
          .linger = options.socket.linger,
          .max_message_bytes = static_cast<std::size_t>(options.socket.max_message_bytes),
          .max_queued_bytes = options.max_queued_bytes,
          .max_kept_bytes = options.max_kept_bytes,
          .version = options.version,
          .on_refusal = options.on_refusal};
}

/// An end over "tcp", "zmq" or, where there are keys, "curve", on a free port of the loopback interface.
inline std::unique_ptr<ListeningFabric> listen_over(const std::string& transport, const ZmqOptions& options) {
  std::unique_ptr<ListeningFabric> end;
  if (transport == "tcp") {
    auto opened = TcpFabric::listen("127.0.0.1:0", tcp_options(options));
    EXPECT_TRUE(opened.ok()) << (opened ? "" : opened.error().message);
    end = std::move(*opened);
  } else {
    auto opened = ZmqFabric::listen("127.0.0.1:0", options);
    EXPECT_TRUE(opened.ok()) << (opened ? "" : opened.error().message);
    end = std::move(*opened);
  }
  return end;
}

/// Ends of a mesh of `ranks` over "inproc", "tcp", "zmq" (on free ports of the loopback interface) "curve"
/// (the same, encrypted) or "mpi" (in a job of one process).
inline std::vector<std::unique_ptr<Fabric>> make_mesh(const std::string& transport, int ranks,
                                                      const ZmqOptions& options = {},
                                                      std::uint32_t epoch = 1) {
  if (transport == "inproc") {
    return InprocMesh::create(ranks);
  }
#ifdef DISCO_TEST_MPI
  if (transport == "mpi") {
    static std::uint64_t cluster = 0;
    MpiWorld::Mesh mesh{.cluster = ++cluster, .epoch = epoch};
    mesh.labels.assign(static_cast<std::size_t>(ranks), "an end in this process");
    std::vector<std::unique_ptr<Fabric>> fabrics;
    for (mesh.rank = 0; mesh.rank < ranks; ++mesh.rank) {
      fabrics.push_back(mpi_world().join(mesh).value());
    }
    return fabrics;
  }
#endif
  std::vector<std::unique_ptr<ListeningFabric>> ends;
  Membership membership{.cluster = 42, .epoch = epoch};
  const auto keys = transport == "curve" ? make_keys(ranks) : std::vector<KeyPair::Shared>();
  for (int rank = 0; rank < ranks; ++rank) {
    ends.push_back(listen_over(transport, keys.empty() ? options : options_of(keys, rank, options)));
    membership.addresses.push_back(ends.back()->address());
  }
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      Membership mine = membership;
      mine.rank = rank;
      const Status joined = ends[static_cast<std::size_t>(rank)]->connect(mine, Clock::now() + 20s);
      EXPECT_TRUE(joined.ok()) << "rank " << rank << ": " << joined.error().message;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<std::unique_ptr<Fabric>> fabrics;
  for (auto& end : ends) {
    fabrics.push_back(std::move(end));
  }
  return fabrics;
}

/// Runs `body(fabric)` on one thread a rank.
inline void on_every_rank(const std::vector<std::unique_ptr<Fabric>>& mesh,
                          const std::function<void(Fabric&)>& body) {
  std::vector<std::thread> threads;
  for (const auto& fabric : mesh) {
    threads.emplace_back([&body, &fabric] { body(*fabric); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

/// `size` bytes that follow from the seed.
inline Payload make_payload(std::size_t size, std::uint64_t seed) {
  std::shared_ptr<std::byte[]> bytes(new std::byte[size + 1]);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (std::size_t i = 0; i < size; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    bytes[i] = static_cast<std::byte>(state >> 56);
  }
  return {std::shared_ptr<const std::byte>(bytes, bytes.get()), size};
}

/// The index of the first byte that is not make_payload(size, seed)'s, -1 where all are equal.
inline std::int64_t first_difference(const Payload& payload, std::size_t size, std::uint64_t seed) {
  const Payload want = make_payload(size, seed);
  if (payload.size != size) {
    return static_cast<std::int64_t>(std::min(payload.size, size));
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (payload.data.get()[i] != want.data.get()[i]) {
      return static_cast<std::int64_t>(i);
    }
  }
  return -1;
}

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace disco::testing
