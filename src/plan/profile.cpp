#include "plan/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "plan/quantile.h"

namespace disco {

namespace {

constexpr std::array<std::string_view, kWorkClasses> kNames = {"convolution", "depthwise", "matmul", "memory",
                                                               "pack"};

/// Of the payload in a full Ethernet frame of TCP: 1448 of 1514 bytes, beside acknowledgements the other way.
constexpr double kTcpShare = 0.953;

/// A number and the unit behind it; nullopt where there is no positive number.
std::optional<std::pair<double, std::string>> number_and_unit(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  if (end == copy.c_str() || !std::isfinite(number) || number < 0) return std::nullopt;
  std::string unit(end);
  std::erase(unit, ' ');
  return std::pair{number, unit};
}

std::optional<double> measured_slowness(const NodeProfile& node, const Speeds& here, std::size_t work) {
  if (node.speeds[work].empty() || here[work].empty()) return std::nullopt;
  std::vector<double> ratios;
  for (const SpeedSample& sample : node.speeds[work])
    ratios.push_back(sample.seconds / seconds_of(here[work], sample.work));
  return median(std::move(ratios));
}

}  // namespace

std::string_view to_string(WorkClass work) { return kNames[static_cast<std::size_t>(work)]; }

bool NodeProfile::measured() const {
  return std::any_of(speeds.begin(), speeds.end(), [](const auto& samples) { return !samples.empty(); });
}

const LinkProfile& Profile::between(std::size_t from, std::size_t to) const {
  if (links.empty()) return link;
  const auto found = links.find({nodes[from].name, nodes[to].name});
  return found == links.end() ? link : found->second;
}

Result<std::size_t> Profile::find(std::string_view name) const {
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].name == name) return n;
  }
  return error(ErrorCode::NotFound, "there is no node '{}'", name);
}

Profile uniform_profile(int nodes, const LinkProfile& link) {
  Profile profile;
  for (int n = 0; n < nodes; ++n) {
    NodeProfile node;
    node.name = fmt::format("node{}", n);
    profile.nodes.push_back(std::move(node));
  }
  profile.link = link;
  return profile;
}

void merge(Profile& into, const Profile& other) {
  for (const NodeProfile& node : other.nodes) {
    const auto known = into.find(node.name);
    if (known) {
      into.nodes[*known] = node;
    } else {
      into.nodes.push_back(node);
    }
  }
  for (const auto& [pair, link] : other.links) into.links[pair] = link;
  if (!other.coordinator.empty()) into.coordinator = other.coordinator;
}

Profile subset(const Profile& profile, const std::vector<std::size_t>& nodes) {
  Profile result = profile;
  result.nodes.clear();
  for (const std::size_t n : nodes) result.nodes.push_back(profile.nodes[n]);
  if (!result.find(result.coordinator)) result.coordinator.clear();
  return result;
}

double seconds_of(const std::vector<SpeedSample>& samples, double work) {
  const auto after = std::lower_bound(samples.begin(), samples.end(), work,
                                      [](const SpeedSample& sample, double w) { return sample.work < w; });
  if (after == samples.begin()) return samples.front().seconds * work / samples.front().work;
  if (after == samples.end()) return samples.back().seconds * work / samples.back().work;
  const SpeedSample& low = *(after - 1);
  const SpeedSample& high = *after;
  const double at = std::log(work / low.work) / std::log(high.work / low.work);
  return std::exp(std::log(low.seconds) + at * std::log(high.seconds / low.seconds));
}

double slowness(const NodeProfile& node, const Speeds& here, WorkClass work) {
  if (!node.measured()) return 1.0 / node.speed;
  if (const auto ratio = measured_slowness(node, here, static_cast<std::size_t>(work))) return *ratio;
  std::vector<double> others;
  for (std::size_t c = 0; c < kWorkClasses; ++c) {
    if (const auto ratio = measured_slowness(node, here, c)) others.push_back(*ratio);
  }
  return others.empty() ? 1.0 / node.speed : median(std::move(others));
}

Result<double> parse_bandwidth(std::string_view text) {
  if (auto parsed = number_and_unit(text); parsed && parsed->first > 0) {
    std::string& unit = parsed->second;
    for (const std::string_view end : {"/s", "ps", "/sec"}) {
      if (unit.ends_with(end)) {
        unit.resize(unit.size() - end.size());
        break;
      }
    }
    double scale = 1;
    std::string_view rest = unit;
    if (!rest.empty()) {
      const char prefix = rest.front();
      scale = prefix == 'k' || prefix == 'K'   ? 1e3
              : prefix == 'M' || prefix == 'm' ? 1e6
              : prefix == 'G' || prefix == 'g' ? 1e9
                                               : 1;
      if (scale > 1) rest.remove_prefix(1);
    }
    if (rest == "bit" || rest == "b") return parsed->first * scale / 8 * kTcpShare;
    if (rest == "B") return parsed->first * scale;
  }
  return error(ErrorCode::InvalidArgument,
               "'{}' is no bandwidth; write 100Mbit/s, 1Gbit/s, or 12MB/s for bytes of payload", text);
}

Result<double> parse_duration(std::string_view text) {
  if (const auto parsed = number_and_unit(text)) {
    if (parsed->second == "us") return parsed->first * 1e-6;
    if (parsed->second == "ms") return parsed->first * 1e-3;
    if (parsed->second == "s") return parsed->first;
  }
  return error(ErrorCode::InvalidArgument, "'{}' is no duration; write 50us, 0.2ms or 1s", text);
}

Result<double> parse_bytes(std::string_view text) {
  if (const auto parsed = number_and_unit(text)) {
    const std::string& unit = parsed->second;
    for (const auto& [name, scale] : {std::pair{"", 1.0},
                                      {"B", 1.0},
                                      {"kB", 1e3},
                                      {"MB", 1e6},
                                      {"GB", 1e9},
                                      {"KiB", 1024.0},
                                      {"MiB", 1048576.0},
                                      {"GiB", 1073741824.0}}) {
      if (unit == name) return parsed->first * scale;
    }
  }
  return error(ErrorCode::InvalidArgument, "'{}' is no number of bytes; write 512MB or 2GiB", text);
}

}  // namespace disco
