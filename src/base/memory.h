#pragma once
// How much memory this process holds, and the machine has.

#include <cstdint>

namespace disco {

/// The most resident memory since the process began, or since forget_peak_memory(), in bytes; 0 where the
/// system does not say. Not getrusage's figure: that is inherited from the process that started this one.
[[nodiscard]] std::uint64_t peak_memory();

/// Gives freed memory back to the system, and counts peak_memory() anew, where the system can.
void forget_peak_memory();

/// Of the whole machine, in bytes; 0 where the system does not say.
struct MachineMemory {
  std::uint64_t total = 0;
  std::uint64_t free = 0;  ///< without swapping
};
[[nodiscard]] MachineMemory machine_memory();

}  // namespace disco
