#pragma once
// A picture of a simulation: what every node and every link does when.

#include <string>

#include "plan/simulate.h"

namespace disco {

/// A page (HTML, nothing else is needed) with a row for every node's core, which computes, packs or waits,
/// and one for what the node has on the wire. It shows the last request, or where several are in flight, a
/// stretch from the middle as long as two of them take. What is under the pointer says its name, its time and
/// its bytes.
///
/// @param simulation  with traces (SimulationOptions::trace)
/// @param title       one line
[[nodiscard]] std::string timeline_page(const Simulation& simulation, const std::string& title);

}  // namespace disco
