#pragma once
// Flags that describe a cluster that need not be there; shared by simulate and plan.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "command.h"
#include "plan/costs.h"
#include "plan/profile.h"

namespace disco::cli {

struct ProfileFlags {
  std::string cluster_file;
  std::string profile_file;
  std::string bandwidth = "1Gbit/s";
  std::string latency = "50us";
  std::string burst;
  int threads = 0;
  bool estimate = false;

  void add_to(CLI::App& command);
  /// The cluster: of --cluster, with what --profile knows of it; or of --profile; or `nodes` nodes like this
  /// machine.
  [[nodiscard]] Result<Profile> profile(int nodes) const;
  /// Measures this machine where a node of the profile was measured, or estimates are asked for.
  [[nodiscard]] Result<StepCosts> costs(const Profile& profile) const;
};

}  // namespace disco::cli
