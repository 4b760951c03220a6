// What a link between two nodes carries on the loopback interface, in the clear and encrypted: messages one
// way as fast as they go, and back and forth. Both take turns. No network slows them down, so this is the
// transport's own speed, both ends' threads on this machine's cores.
//
//   bench_link [SECONDS]

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <vector>

#include "fabric/tcp_fabric.h"
#include "fabric/zmq_fabric.h"

namespace {

using namespace disco;  // NOLINT(google-build-using-namespace)
using std::chrono::seconds;

using Ends = std::vector<std::unique_ptr<ListeningFabric>>;

Result<Ends> connect(bool encrypted) {
  std::vector<KeyPair::Shared> keys;
  Ends ends;
  Membership membership{.cluster = 1, .epoch = 1};
  ZmqOptions options;
  for (int rank = 0; rank < 2 && encrypted; ++rank) {
    DISCO_TRY(const KeyPair::Shared pair, KeyPair::make());
    keys.push_back(pair);
    options.members.push_back(pair->public_key());
  }
  for (std::size_t rank = 0; rank < 2; ++rank) {
    if (encrypted) {
      options.socket.keys = keys[rank];
      DISCO_TRY(auto end, ZmqFabric::listen("127.0.0.1:0", options));
      ends.push_back(std::move(end));
    } else {
      DISCO_TRY(auto end, TcpFabric::listen("127.0.0.1:0"));
      ends.push_back(std::move(end));
    }
    membership.addresses.push_back(ends.back()->address());
  }
  Status joined;
  std::thread other([&] {
    Membership second = membership;
    second.rank = 1;
    joined = ends[1]->connect(second, Clock::now() + seconds(10));
  });
  const Status first = ends[0]->connect(membership, Clock::now() + seconds(10));
  other.join();
  DISCO_CHECK(first);
  DISCO_CHECK(joined);
  return ends;
}

struct Speed {
  double megabytes_per_second = 0;
  double round_trip_us = 0;
};

Result<Speed> measure(const Ends& ends, std::size_t bytes, double patience, std::uint64_t& request) {
  const std::shared_ptr<std::byte[]> buffer(new std::byte[bytes]());
  const Payload payload{std::shared_ptr<const std::byte>(buffer, buffer.get()), bytes};
  const auto deadline = [] { return Clock::now() + seconds(30); };
  const auto rounds = [&](std::uint32_t burst) -> Result<double> {
    Status answered;
    const std::uint64_t first = request;
    double spent = 0;
    std::uint64_t done = 0;
    std::thread echo([&] {
      for (std::uint64_t id = first;; ++id) {
        for (std::uint32_t tag = 0; tag < burst; ++tag) {
          const auto got = ends[1]->receive(0, {1, id, tag}, deadline());
          if (!got || got->size == 0) return;
        }
        std::ignore = ends[1]->send(0, {1, id, 0}, burst == 1 ? payload : Payload{});
      }
    });
    while (spent < patience) {
      const Clock::time_point start = Clock::now();
      for (std::uint32_t tag = 0; tag < burst; ++tag) {
        std::ignore = ends[0]->send(1, {1, request, tag}, payload);
      }
      const auto back = ends[0]->receive(1, {1, request, 0}, deadline());
      if (!back) answered = back.error();
      ++request;
      ++done;
      spent += answered ? std::chrono::duration<double>(Clock::now() - start).count() : patience;
    }
    std::ignore = ends[0]->send(1, {1, request, 0}, {});
    echo.join();
    ++request;
    DISCO_CHECK(answered);
    return spent / static_cast<double>(done);
  };
  const auto burst =
      static_cast<std::uint32_t>(std::clamp<std::size_t>((std::size_t{16} << 20) / bytes, 4, 4096));
  DISCO_TRY(const double way, rounds(burst));
  DISCO_TRY(const double trip, rounds(1));
  return Speed{static_cast<double>(bytes) * burst / way / 1e6, trip * 1e6};
}

Status run(double patience) {
  DISCO_TRY(const Ends clear, connect(false));
  DISCO_TRY(const Ends encrypted, connect(true));
  std::uint64_t clear_request = 1;
  std::uint64_t encrypted_request = 1;
  fmt::print("{:>10} {:>14} {:>14} {:>7} {:>14} {:>14}\n", "bytes", "clear MB/s", "encrypted MB/s", "ratio",
             "clear trip us", "encr. trip us");
  for (const std::size_t bytes : {256UL, 4096UL, 65536UL, 1UL << 20, 4UL << 20}) {
    DISCO_TRY(const Speed a, measure(clear, bytes, patience, clear_request));
    DISCO_TRY(const Speed b, measure(encrypted, bytes, patience, encrypted_request));
    fmt::print("{:>10} {:>14.0f} {:>14.0f} {:>7.2f} {:>14.1f} {:>14.1f}\n", bytes, a.megabytes_per_second,
               b.megabytes_per_second, b.megabytes_per_second / a.megabytes_per_second, a.round_trip_us,
               b.round_trip_us);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const double patience = argc > 1 ? std::atof(argv[1]) : 1.0;
  if (const auto status = run(std::clamp(patience, 0.01, 60.0)); !status) {
    fmt::print(stderr, "bench_link: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
