#include "plan/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace disco {
namespace {

using ::testing::HasSubstr;

class ProfileFile : public ::testing::Test {
 protected:
  Result<Profile> read(std::string_view text) {
    path_ = std::filesystem::temp_directory_path() / fmt::format("disco-profile-{}.toml", getpid());
    EXPECT_TRUE(write_file(path_, std::as_bytes(std::span(text.data(), text.size()))));
    return load_profile(path_, {.bytes_per_s = 1e6, .latency_s = 1e-3});
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(ProfileFile, DescribesACluster) {
  const auto profile = read(R"(
coordinator = "big"
[[node]]
name = "big"
speed = 2.5
memory = "4GB"
threads = 2
cores = 4
[[node]]
name = "pi"
count = 3
speed = 0.25
memory = "512MiB"
[[link]]
bandwidth = "100Mbit/s"
latency = "0.2ms"
[[link]]
from = "big"
to = "pi1"
both = false
bandwidth = "12MB/s"
latency = "50us"
burst = "32kB"
)");
  ASSERT_TRUE(profile) << profile.error().message;
  ASSERT_EQ(profile->nodes.size(), 4U);
  EXPECT_EQ(profile->nodes[3].name, "pi2");
  EXPECT_EQ(profile->nodes[3].memory_total, 512U << 20);
  EXPECT_FALSE(profile->nodes[0].shares_core);
  EXPECT_TRUE(profile->nodes[1].shares_core);
  EXPECT_NEAR(slowness(profile->nodes[1], {}, WorkClass::Convolution), 4.0, 1e-9);
  EXPECT_NEAR(profile->between(0, 2).bytes_per_s, 12e6, 1);
  EXPECT_NEAR(profile->between(0, 2).burst_bytes, 32e3, 1);
  EXPECT_NEAR(profile->between(2, 0).bytes_per_s, 100e6 / 8 * 0.953, 1e5);
  EXPECT_NEAR(profile->between(1, 3).latency_s, 2e-4, 1e-9);
  EXPECT_EQ(profile->coordinator, "big");
}

TEST_F(ProfileFile, TakesClusterFiles) {
  const auto profile =
      read("[[node]]\naddress = \"10.0.0.7:7001\"\nshare = 3\n[[node]]\naddress = \"h:1\"\nname = \"x\"\n");
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->nodes[0].name, "10.0.0.7:7001");
  EXPECT_EQ(profile->nodes[1].name, "x");
  EXPECT_NEAR(profile->between(0, 1).bytes_per_s, 1e6, 1e-6);
}

TEST_F(ProfileFile, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* complaint;
  } cases[] = {
      {"", ":1: no [[node]]"},
      {"[[node]]\nname = \"a\"\nsped = 2\n", ":3: a node's 'sped'"},
      {"[[node]]\nspeed = -1\n", ":2: a node's 'speed'"},
      {"[[node]]\nname = \"a\"\n[[node]]\nname = \"a\"\n", "'a' is there twice"},
      {"[[node]]\n[link]\nbandwidth = \"fast\"\n", ":3: bandwidth: 'fast' is no bandwidth"},
      {"[[node]]\n[link]\nbandwidth = 100\n", ":3: bandwidth: it must be a text"},
      {"[[node]]\n[link]\nlatency = \"5\"\n", "'5' is no duration"},
      {"[[node]]\n[[link]]\nfrom = \"nobody\"\n", "no node 'nobody'"},
      {"coordinator = \"x\"\n[[node]]\n", "no node 'x'"},
      {"[[node]]\ncount = 65\n", "'count'"},
      {"[[node]]\ncount = 64\n[[node]]\n", "more than 64"},
      {"[[node]\n", ":1: "},
      {"{\"format\": \"x\"}", "it is no profile"},
      {"{\"format\": \"disco.profile\", \"version\": 99, \"nodes\": [], \"links\": []}", "version 99"},
      {"{\"format\": \"disco.profile\", \"version\": 1, \"nodes\": [], \"links\": []}", "no nodes"},
      {"{\"format\": \"disco.profile\", \"version\": 1, \"nodes\": [{\"name\": \"a\", \"speed\": -3}], "
       "\"links\": []}",
       "'speed' is -3"},
      {"{\"format\"", "cannot be read"},
  };
  for (const auto& [text, complaint] : cases) {
    const auto profile = read(text);
    ASSERT_FALSE(profile) << text;
    EXPECT_THAT(profile.error().message, HasSubstr(complaint)) << text;
    EXPECT_THAT(profile.error().message, ::testing::Not(HasSubstr("\n"))) << text;
  }
}

TEST(ProfileUnits, AreRead) {
  EXPECT_NEAR(*parse_bandwidth("1Gbit/s"), 1e9 / 8 * 0.953, 1e6);
  EXPECT_NEAR(*parse_bandwidth("100 Mbit/s"), 1e8 / 8 * 0.953, 1e5);
  EXPECT_NEAR(*parse_bandwidth("100mbps"), 1e8 / 8 * 0.953, 1e5);
  EXPECT_NEAR(*parse_bandwidth("12.5MB/s"), 12.5e6, 1);
  EXPECT_NEAR(*parse_duration("50us"), 50e-6, 1e-12);
  EXPECT_NEAR(*parse_duration("0.2 ms"), 2e-4, 1e-12);
  EXPECT_NEAR(*parse_bytes("2GiB"), 2147483648.0, 1);
  EXPECT_NEAR(*parse_bytes("7"), 7, 1e-9);
  for (const char* bad : {"", "fast", "-1Mbit/s", "0Mbit/s", "1Gbit/h", "1"})
    EXPECT_FALSE(parse_bandwidth(bad)) << bad;
  for (const char* bad : {"", "-1ms", "1 fortnight", "5"}) EXPECT_FALSE(parse_duration(bad)) << bad;
  for (const char* bad : {"", "-1", "5 bananas", "nan"}) EXPECT_FALSE(parse_bytes(bad)) << bad;
}

Profile example() {
  Profile profile = uniform_profile(3, {.bytes_per_s = 5e6, .latency_s = 3e-3, .burst_bytes = 7});
  profile.nodes[1].speeds[0] = {{1e6, 1e-3}, {1e8, 2e-2}};
  profile.nodes[1].speeds[3] = {{1e3, 1e-6}};
  profile.nodes[1].messages.wake_s = 77e-6;
  profile.nodes[2].memory_free = 12345;
  profile.links[{"node0", "node2"}] = {1e8, 1e-4, 0};
  profile.coordinator = "node2";
  return profile;
}

TEST(ProfileJson, ComesBackAsItWas) {
  const std::string text = to_json(example());
  const auto back = profile_from_json(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), text);
  EXPECT_EQ(back->nodes[1].speeds[0].size(), 2U);
  EXPECT_NEAR(back->between(0, 2).bytes_per_s, 1e8, 1);
  EXPECT_NEAR(back->between(2, 0).bytes_per_s, 5e6, 1);
}

TEST(ProfileMerge, BelievesTheNewer) {
  Profile into = example();
  Profile other = uniform_profile(1, {});
  other.nodes[0].name = "node1";
  other.nodes[0].speed = 9;
  other.nodes.push_back(other.nodes[0]);
  other.nodes[1].name = "more";
  other.links[{"node0", "node2"}] = {2e8, 0, 0};
  merge(into, other);
  ASSERT_EQ(into.nodes.size(), 4U);
  EXPECT_EQ(into.nodes[1].speed, 9);
  EXPECT_EQ(into.nodes[3].name, "more");
  EXPECT_NEAR(into.between(0, 2).bytes_per_s, 2e8, 1);
  EXPECT_EQ(into.coordinator, "node2");
}

TEST(ProfileSubset, KeepsLinksAndOrder) {
  const Profile two = subset(example(), {2, 0});
  ASSERT_EQ(two.nodes.size(), 2U);
  EXPECT_EQ(two.nodes[0].name, "node2");
  EXPECT_NEAR(two.between(1, 0).bytes_per_s, 1e8, 1);
  EXPECT_EQ(two.coordinator, "node2");
  EXPECT_EQ(subset(example(), {0, 1}).coordinator, "");
}

TEST(ProfileSpeeds, FollowTheSamples) {
  const std::vector<SpeedSample> samples = {{1e6, 1e-3}, {1e8, 1e-2}};
  EXPECT_NEAR(seconds_of(samples, 1e6), 1e-3, 1e-9);
  EXPECT_NEAR(seconds_of(samples, 1e8), 1e-2, 1e-9);
  EXPECT_NEAR(seconds_of(samples, 1e7), std::sqrt(1e-3 * 1e-2), 1e-9);  // half way in logarithms
  EXPECT_NEAR(seconds_of(samples, 1e5), 1e-4, 1e-9);
  EXPECT_NEAR(seconds_of(samples, 1e9), 1e-1, 1e-9);
  Speeds here, there;
  here[0] = samples;
  there[0] = {{1e6, 4e-3}, {1e8, 4e-2}};
  NodeProfile node;
  node.speeds = there;
  EXPECT_NEAR(slowness(node, here, WorkClass::Convolution), 4.0, 1e-9);
  EXPECT_NEAR(slowness(node, here, WorkClass::MatMul), 4.0, 1e-9);  // not measured: as the others
}

}  // namespace
}  // namespace disco
