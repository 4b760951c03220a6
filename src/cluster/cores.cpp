#include "cluster/cores.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>

namespace disco {

namespace {

/// Where a CPU lies; a core of its own where the system does not say.
std::pair<int, int> core_of(int cpu) {
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  std::pair<int, int> place;
  std::ifstream package(folder + "physical_package_id"), core(folder + "core_id");
  if (package >> place.first && core >> place.second) return place;
  return {-1, cpu};
}

}  // namespace

int even_share_of_cores(std::size_t nodes) {
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return std::max(1, cores / static_cast<int>(nodes));
}

std::vector<std::vector<int>> cores_of_nodes(int nodes, int threads) {
  if (std::getenv("OMP_PROC_BIND") != nullptr || std::getenv("OMP_PLACES") != nullptr) return {};
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  std::map<std::pair<int, int>, std::vector<int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cores[core_of(cpu)].push_back(cpu);
  }
  std::vector<std::vector<int>> parts(static_cast<std::size_t>(nodes));
  std::size_t next = 0;
  for (const auto& [place, cpus] : cores) {
    std::vector<int>& part = parts[next++ % parts.size()];
    part.insert(part.end(), cpus.begin(), cpus.end());
  }
  for (const std::vector<int>& part : parts) {
    if (part.size() < static_cast<std::size_t>(threads)) return {};
  }
  return parts;
}

}  // namespace disco
