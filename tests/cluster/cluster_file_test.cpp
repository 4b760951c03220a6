#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cluster/cluster.h"

namespace disco {
namespace {

class ClusterFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / fmt::format("disco-cluster-{}.toml", getpid());
  }
  void TearDown() override { std::filesystem::remove(path_); }
  Result<std::vector<NodeConfig>> load(const std::string& text) {
    std::ofstream(path_) << text;
    return load_cluster_file(path_);
  }
  std::filesystem::path path_;
};

TEST_F(ClusterFile, ReadsNodesInTheirOrder) {
  const auto nodes = load(R"(# the kitchen and the attic
[[node]]
address = "10.0.0.7:7001"
name = "kitchen"
share = 2
threads = 3

[[node]]
address = "[fe80::1]:7001"
share = 0.5

[[node]]
address = "attic.local:7002"
)");
  ASSERT_TRUE(nodes.ok()) << nodes.error().message;
  ASSERT_EQ(nodes->size(), 3U);
  EXPECT_EQ((*nodes)[0].address, "10.0.0.7:7001");
  EXPECT_EQ((*nodes)[0].name, "kitchen");
  EXPECT_EQ((*nodes)[0].share, 2);
  EXPECT_EQ((*nodes)[0].threads, 3);
  EXPECT_EQ((*nodes)[1].share, 0.5);
  EXPECT_EQ((*nodes)[2].address, "attic.local:7002");
  EXPECT_EQ((*nodes)[2].share, 1);
  EXPECT_EQ((*nodes)[2].threads, 0);
}

TEST_F(ClusterFile, MistakesAreOneLineWithTheirPlace) {
  struct Case {
    const char* text;
    int line;
    const char* says;
  };
  const Case cases[] = {
      {"", 1, "no [[node]]"},
      {"\n\n[[node]\n", 3, ""},
      {"[[node]]\naddress = 7\n", 2, "'address'"},
      {"[[node]]\nname = \"a\"\n", 1, "without an address"},
      {"[[node]]\naddress = \"here\"\n", 2, "write HOST:PORT"},
      {"[[node]]\naddress = \"a:70000\"\n", 2, "write HOST:PORT"},
      {"[[node]]\naddress = \"a:1\"\n\nshare = 0\n", 4, "must be positive"},
      {"[[node]]\naddress = \"a:1\"\nshare = nan\n", 3, "must be positive"},
      {"[[node]]\naddress = \"a:1\"\nshare = \"2\"\n", 3, "'share'"},
      {"[[node]]\naddress = \"a:1\"\nthreads = -1\n", 3, "'threads'"},
      {"[[node]]\naddress = \"a:1\"\nthreads = 1.5\n", 3, "'threads'"},
      {"[[node]]\naddress = \"a:1\"\nadress = \"a:1\"\n", 3, "no 'adress'"},
      {"[[node]]\naddress = \"a:1\"\n[[node]]\naddress = \"a:1\"\n", 3, "there twice"},
      {"[[node]]\naddress = \"a:1\"\n[nodes]\nx = 1\n", 3, "'nodes' is not known"},
      {"[node]\naddress = \"a:1\"\n", 1, "'node' is not known"},
      {"node = 3\n", 1, "'node' is not known"},
  };
  for (const Case& item : cases) {
    const auto nodes = load(item.text);
    ASSERT_FALSE(nodes.ok()) << item.text;
    const std::string& line = nodes.error().message;
    EXPECT_EQ(nodes.error().code, ErrorCode::InvalidArgument) << item.text;
    EXPECT_TRUE(line.starts_with(fmt::format("{}:{}: ", path_.string(), item.line))) << item.text << "\n"
                                                                                     << line;
    EXPECT_NE(line.find(item.says), std::string::npos) << item.text << "\n" << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << item.text << "\n" << line;
  }
}

TEST_F(ClusterFile, AFileThatIsNotThereIsNotFound) {
  const auto nodes = load_cluster_file("/no/such/cluster.toml");
  ASSERT_FALSE(nodes.ok());
  EXPECT_EQ(nodes.error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace disco
