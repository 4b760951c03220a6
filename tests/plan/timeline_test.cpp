// The picture of a simulation.

#include "plan/timeline.h"

#include <gtest/gtest.h>

#include "programs.h"

namespace disco::testing {
namespace {

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(Timeline, ShowsEveryNodeAndTheWire) {
  const auto programs = all_to_all(3, 4, 0.04, 100'000);
  Profile profile = free_of_overhead(3, 1e7, 0.001);
  profile.nodes[1].name = "<b> & co";
  const auto simulated = simulate(programs, profile, {.requests = 1, .trace = true});
  ASSERT_TRUE(simulated) << simulated.error().message;
  const std::string page = timeline_page(*simulated, "a model on 3 nodes");
  EXPECT_EQ(count(page, "class=\"compute\""), 3U * 4);
  EXPECT_EQ(count(page, "class=\"wire\""), 3U * 2 * 4);
  EXPECT_GT(count(page, "class=\"wait\""), 0U);
  EXPECT_EQ(count(page, "<svg"), 1U);
  EXPECT_EQ(count(page, "<b>"), 0U) << "names are text, not markup";
  EXPECT_GT(count(page, "&lt;b&gt; &amp; co"), 0U);
}

TEST(Timeline, OfSeveralInFlightShowsAStretchFromTheMiddle) {
  const auto programs = all_to_all(2, 4, 0.04, 100'000);
  const Profile profile = free_of_overhead(2, 1e7, 0.001);
  const auto few = simulate(programs, profile, {.concurrency = 2, .requests = 10, .trace = true});
  const auto many = simulate(programs, profile, {.concurrency = 2, .requests = 100, .trace = true});
  ASSERT_TRUE(few && many);
  // Ten times as many requests are no more bars.
  EXPECT_NEAR(static_cast<double>(count(timeline_page(*many, "m"), "<rect")),
              static_cast<double>(count(timeline_page(*few, "f"), "<rect")), 10.0);
}

}  // namespace
}  // namespace disco::testing
