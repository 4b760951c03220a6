#include "base/memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

namespace disco {

std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

void forget_peak_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << "5";  // see proc(5)
}

MachineMemory machine_memory() {
  std::ifstream lines("/proc/meminfo");
  MachineMemory memory;
  for (std::string word; lines >> word;) {
    std::uint64_t kib = 0;
    if (word == "MemTotal:" && lines >> kib) memory.total = kib * 1024;
    if (word == "MemAvailable:" && lines >> kib) memory.free = kib * 1024;
  }
  return memory;
}

}  // namespace disco
