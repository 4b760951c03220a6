#include <disco/run.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace disco {
namespace {

TEST(Trace, OneTrackANodeOnOneClock) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("disco-trace-{}.json", getpid());
  const std::vector<NodeTrace> nodes = {
      {0, "10.0.0.7:7001", 0, {{"conv1", "Conv+Relu", TracePhase::Compute, 5'000'000, 7'500'000, 0, -1}}},
      // This node's clock is 4 ms behind.
      {1,
       "kitchen \"1\"\xFF",
       4'000'000,
       {{"conv1", "Recv", TracePhase::Wait, 0, 2'000'000, 4096, 0},
        {"conv1", "Recv", TracePhase::Unpack, 2'000'000, 2'001'000, 4096, 0}}},
  };
  const Status written = write_trace(path, nodes);
  ASSERT_TRUE(written.ok()) << written.error().message;
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file);
  std::map<int, std::string> tracks;
  std::map<std::string, nlohmann::json> events;
  for (const auto& event : json.at("traceEvents")) {
    if (event.at("ph") == "M" && event.at("name") == "process_name") {
      tracks[event.at("pid").get<int>()] = event.at("args").at("name").get<std::string>();
    } else if (event.at("ph") == "X") {
      events[event.at("name").get<std::string>()] = event;
    }
  }
  EXPECT_EQ(tracks.size(), 2U);
  EXPECT_EQ(tracks[0], "node 0 (10.0.0.7:7001)");
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events.at("conv1").at("pid"), 0);
  EXPECT_DOUBLE_EQ(events.at("conv1").at("ts").get<double>(),
                   1000);  // microseconds after the earliest, node 1's wait
  EXPECT_DOUBLE_EQ(events.at("conv1").at("dur").get<double>(), 2500);
  EXPECT_DOUBLE_EQ(events.at("wait conv1").at("ts").get<double>(), 0);
  EXPECT_EQ(events.at("wait conv1").at("args").at("bytes"), 4096);
  EXPECT_DOUBLE_EQ(events.at("unpack conv1").at("dur").get<double>(), 1);
  std::filesystem::remove(path);
}

TEST(Trace, AFolderThatIsNotThereIsAnError) {
  const Status written = write_trace("/no/such/folder/trace.json", {});
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace disco
