// Parts of the machine for local nodes, and that nodes keep to them.

#include "cluster/cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <thread>

namespace disco {
namespace {

std::set<int> allowed() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::set<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.insert(cpu);
  }
  return cpus;
}

/// In a thread of its own, which may run on so many CPUs only.
template <typename F>
void with_cpus(std::size_t count, F f) {
  std::thread([&] {
    const std::set<int> all = allowed();
    if (all.size() < count) GTEST_SKIP() << "this machine has " << all.size() << " CPUs";
    cpu_set_t set;
    CPU_ZERO(&set);
    std::for_each_n(all.begin(), count, [&](int cpu) { CPU_SET(cpu, &set); });
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    f();
  }).join();
}

class CoresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("OMP_PROC_BIND") != nullptr || std::getenv("OMP_PLACES") != nullptr)
      GTEST_SKIP() << "the environment arranges cores";
  }
};

TEST_F(CoresTest, PartsAreOfWhatMayBeUsedAndDoNotOverlap) {
  const std::set<int> all = allowed();
  for (int nodes = 1; nodes <= 5; ++nodes) {
    const auto parts = cores_of_nodes(nodes, 1);
    if (parts.empty()) continue;  // fewer cores than nodes
    ASSERT_EQ(parts.size(), static_cast<std::size_t>(nodes));
    std::set<int> seen;
    for (const auto& part : parts) {
      EXPECT_FALSE(part.empty());
      for (const int cpu : part) {
        EXPECT_TRUE(all.contains(cpu)) << cpu;
        EXPECT_TRUE(seen.insert(cpu).second) << cpu << " twice";
      }
    }
    EXPECT_EQ(seen, all) << "no core is left idle";
  }
}

TEST_F(CoresTest, NobodyIsConfinedWhereThereIsTooLittle) {
  with_cpus(1, [] {
    EXPECT_EQ(cores_of_nodes(1, 1).size(), 1U);
    EXPECT_TRUE(cores_of_nodes(2, 1).empty());
    EXPECT_TRUE(cores_of_nodes(1, 2).empty());
  });
}

TEST_F(CoresTest, TheUsersOwnArrangementCounts) {
  setenv("OMP_PLACES", "cores", 1);
  EXPECT_TRUE(cores_of_nodes(1, 1).empty());
  unsetenv("OMP_PLACES");
}

}  // namespace
}  // namespace disco
