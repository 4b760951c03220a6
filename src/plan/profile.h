#pragma once
// How fast the nodes of a cluster are, and the links between them: measured, or described by hand.

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace disco {

/// What a step does, as far as it decides how fast two machines are beside each other.
enum class WorkClass : std::uint8_t { Convolution, Depthwise, MatMul, Memory, Pack };
inline constexpr std::size_t kWorkClasses = 5;
/// "convolution", "depthwise", "matmul", "memory", "pack".
[[nodiscard]] std::string_view to_string(WorkClass work);

/// How long one step of a known size took.
struct SpeedSample {
  double work = 0;  ///< multiply-accumulates; bytes for Memory and Pack
  double seconds = 0;
};
/// By WorkClass, each with work rising.
using Speeds = std::array<std::vector<SpeedSample>, kWorkClasses>;

/// What a message costs the processors at its two ends, beside packing and unpacking.
struct MessageCost {
  double send_s = 9e-6;                  ///< of the thread that computes, a message
  double receive_s = 4e-6;               ///< likewise, once the message is there
  double send_copy_byte_s = 0.15e-9;     ///< likewise, a byte: it hands them to the kernel itself
  double receive_copy_byte_s = 0.15e-9;  ///< likewise, of what had come before it was asked for
  double wake_s = 25e-6;         ///< from a message's arrival until a thread that slept for it goes on
  double io_send_s = 0;          ///< of who moves bytes beside it, the kernel or a thread, a message
  double io_receive_s = 3e-6;    ///< likewise
  double send_byte_s = 0.05e-9;  ///< likewise, a byte
  double receive_byte_s = 0.1e-9;
};

struct NodeProfile {
  std::string name;
  int threads = 1;
  /// Whether what moves bytes beside the computing thread has no core of its own, so that it delays
  /// computing.
  bool shares_core = true;
  std::uint64_t memory_total = 0;  ///< bytes; 0: unknown
  std::uint64_t memory_free = 0;
  /// Relative to the machine that steps are measured on; used where `speeds` are empty.
  double speed = 1;
  Speeds speeds{};
  double step_overhead_s = 1e-6;
  MessageCost messages{};
  /// Of the coordinator, beside the network: from asking a run of this node to its first step, and back.
  double request_s = 300e-6;
  double request_byte_s = 1e-9;  ///< a byte of inputs and outputs
  /// Of these, what passes before the coordinator asks the next node.
  double ask_s = 50e-6;
  double ask_byte_s = 0.2e-9;

  [[nodiscard]] bool measured() const;
};

/// One direction of a link.
struct LinkProfile {
  double bytes_per_s = 117e6;  ///< of payload while both directions are busy
  double latency_s = 50e-6;    ///< one way, without the processors' part
  /// Bytes that pass at once after a pause: what a token bucket lets through (traffic shapers, cloud
  /// machines).
  double burst_bytes = 0;
};

/// A cluster as simulations see it. Nodes are told apart by name, so that profiles can be merged.
struct Profile {
  std::vector<NodeProfile> nodes;
  LinkProfile link{};  ///< of pairs that `links` does not name
  std::map<std::pair<std::string, std::string>, LinkProfile> links{};  ///< from, to
  /// The node on whose machine the coordinator runs, so that inputs for others share its link; empty: on a
  /// machine of its own whose link is no limit.
  std::string coordinator;

  [[nodiscard]] const LinkProfile& between(std::size_t from, std::size_t to) const;
  /// NotFound for a name that no node has; the index otherwise.
  [[nodiscard]] Result<std::size_t> find(std::string_view name) const;
};

/// `nodes` equal nodes, each as fast as the machine that steps are measured on.
[[nodiscard]] Profile uniform_profile(int nodes, const LinkProfile& link);

/// Adds what `other` knows; where both know a node or a link, `other` is believed.
void merge(Profile& into, const Profile& other);

/// Only these nodes, in this order.
[[nodiscard]] Profile subset(const Profile& profile, const std::vector<std::size_t>& nodes);

/// Seconds that `work` of a class takes by the samples: between two of them along the line in logarithms,
/// outside at the rate of the nearest one. @pre at least one sample
[[nodiscard]] double seconds_of(const std::vector<SpeedSample>& samples, double work);

/// How many times longer `node` takes than `here` for a class: the median over the sizes that both measured;
/// 1 / node.speed where the node was not measured. Classes without samples follow the others.
[[nodiscard]] double slowness(const NodeProfile& node, const Speeds& here, WorkClass work);

/// Versioned JSON; docs/plan.md explains the keys.
[[nodiscard]] std::string to_json(const Profile& profile);
/// InvalidArgument for what is no profile, ProtocolMismatch for one of a newer version.
[[nodiscard]] Result<Profile> profile_from_json(std::string_view text);

/// Reads a profile (JSON), a description of a cluster, or a cluster file (both TOML; see docs/plan.md).
///
/// @param link  of pairs that the file says nothing about
/// @return the profile, or NotFound, Io, or InvalidArgument: one line with file and line
[[nodiscard]] Result<Profile> load_profile(const std::filesystem::path& path, const LinkProfile& link = {});

/// "100Mbit/s", "1 Gbit/s", "12MB/s" as payload bytes a second: of bits, what TCP leaves of an Ethernet link.
[[nodiscard]] Result<double> parse_bandwidth(std::string_view text);
/// "0.2ms", "50us", "1s" in seconds.
[[nodiscard]] Result<double> parse_duration(std::string_view text);
/// "512MB", "2GiB", "1000000" in bytes.
[[nodiscard]] Result<double> parse_bytes(std::string_view text);

}  // namespace disco
