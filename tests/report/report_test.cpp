// Figures from predictions, and pages that hold whatever names models have.

#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/page.h"

namespace disco {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

ArtifactReport artifact(const std::string& name, const std::string& method, double top1, double bytes,
                        const std::string& wire = "fp32", int nodes = 2) {
  ArtifactReport report;
  Evaluation& e = report.evaluation;
  e.model = "somewhere/" + name;
  e.data = "shapes";
  e.method = method;
  e.wire = wire;
  e.nodes = nodes;
  e.samples = 1000;
  e.task = "classification";
  e.measured = Measured{{{"top1", top1}, {"top5", top1}}, 1000};
  e.agreement = top1;
  e.node_bytes.assign(static_cast<std::size_t>(nodes), bytes / nodes);
  e.dense_bytes = 1000;
  report.unsplit.macs = 100;
  report.unsplit.weight_bytes = 40;
  report.nodes.resize(static_cast<std::size_t>(nodes));
  report.nodes[0].macs = 34;
  report.nodes[1].macs = 30;
  report.nodes[1].messages_sent = 7;
  report.exchanges = {{"relu<1>&\"2\"", {0, 0, 1, 1, 1, 0}, {1, 0, 0, 1, 1, 0}, .5, 300, 600},
                      {"last", {0, 1}, {0, 0}, 0, 0, 400}};
  return report;
}

Report some_report() {
  Report report;
  report.model = "models/<b>dense & 'co'.onnx";
  report.data = "shapes";
  report.preset = "cifar10";
  report.samples = 1000;
  report.dense = Measured{{{"top1", .92}, {"top5", .99}}, 1000};
  report.artifacts.push_back(artifact("fifth.onnx", "disco", .9, 200));
  report.artifacts.push_back(artifact("half<script>.onnx", "disco", .91, 500));
  report.artifacts.push_back(artifact("bytes.onnx", "disco", .89, 50, "u8"));
  report.artifacts.push_back(artifact("nothing.onnx", "independent", .6, 0));
  report.artifacts.push_back(artifact("other.onnx", "a<b", .7, 200));
  return report;
}

TEST(Evaluations, JsonHoldsWhatIsKnown) {
  Evaluation e = artifact("a", "disco", .9, 200).evaluation;
  e.dense = Measured{{{"top1", .92}, {"top5", .99}}, 1000};
  const nlohmann::json full = to_json(e);
  EXPECT_EQ(full["metric"], "top1");
  EXPECT_EQ(full["value"], .9);
  EXPECT_EQ(full["dense_value"], .92);
  EXPECT_EQ(full["bytes_per_inference"], 200);
  EXPECT_EQ(full["dense_bytes_per_inference"], 1000);
  EXPECT_EQ(full["top5"], .9);
  EXPECT_EQ(full["dense_top5"], .99);
  e.measured.reset();
  EXPECT_EQ(to_json(e)["metric"], "agreement");
  EXPECT_FALSE(to_json(e).contains("labelled"));
}

TEST(Evaluations, WireIsNamed) {
  Partition partition;
  EXPECT_EQ(wire_of(partition), "fp32");
  partition.wire["a"] = {DataType::UInt8, .1F, 0};
  EXPECT_EQ(wire_of(partition), "u8");
  partition.wire["b"] = {DataType::Float16};
  EXPECT_EQ(wire_of(partition), "mixed");
}

TEST(Pages, NeedNothingElseAndEscapeNames) {
  const std::string html = to_html(some_report());
  for (const char* outside : {"http:", "https:", "src=", "<script", "<link", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;dense &amp; &#39;co&#39;.onnx"));
  EXPECT_THAT(html, HasSubstr("half&lt;script&gt;.onnx"));
  EXPECT_THAT(html, HasSubstr("relu&lt;1&gt;&amp;&quot;2&quot;"));
  EXPECT_THAT(html, HasSubstr("a&lt;b"));
  EXPECT_THAT(html, Not(HasSubstr("<b>dense &")));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
  for (const char* tag : {"div", "svg", "details", "table", "tr", "td", "span", "figure", "g", "main"}) {
    const std::string name = tag;
    EXPECT_EQ(count(html, "<" + name + ">") + count(html, "<" + name + " "), count(html, "</" + name + ">"))
        << tag;
  }
}

TEST(Pages, ShowEveryArtifactAndExchange) {
  const Report report = some_report();
  const std::string html = to_html(report);
  EXPECT_EQ(count(html, "<details"), 5U);
  EXPECT_EQ(count(html, "<svg class=\"strip\""), 10U);
  EXPECT_EQ(count(html, "class=\"line"), 4U);  // disco, disco in u8, independent, a<b
  EXPECT_EQ(count(html, "class=\"dot\""), 5U);
  // Channels 0, 1, 2, 3-4 and 5: runs of one owner and level are one stroke each, in a path for each.
  EXPECT_THAT(html, HasSubstr(R"(<path class="n0 l0" d="M1 .5h1m3 0h1"/>)"));
  EXPECT_THAT(html, HasSubstr(R"(<path class="n1 l2" d="M3 .5h2"/>)"));
  const auto series = page::series_of(report);
  ASSERT_EQ(series.size(), 4U);
  EXPECT_EQ(series[0].name, "disco");
  EXPECT_EQ(series[1].name, "disco, u8");
  ASSERT_EQ(series[0].points.size(), 2U);
  EXPECT_LT(series[0].points[0]->evaluation.bytes(), series[0].points[1]->evaluation.bytes());
}

TEST(Pages, DoWithoutClassesAndWithManyNodes) {
  Report report = some_report();
  report.dense.reset();
  for (ArtifactReport& one : report.artifacts) one.evaluation.measured.reset();
  report.artifacts.push_back(artifact("wide.onnx", "disco", .5, 100, "fp32", 12));
  const std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("Agreement with the dense model against bytes"));
  EXPECT_THAT(html, HasSubstr("disco, 12 nodes"));
  EXPECT_THAT(html, HasSubstr(".n11{"));
  EXPECT_THAT(html, Not(HasSubstr("<th>top-1")));
}

TEST(Pages, ShowDecibelsAsTheyAre) {
  Report report = some_report();
  report.dense = Measured{{{"psnr", 31.5, Unit::Decibel}, {"ssim", .9, Unit::Number}}, 5};
  double psnr = 31.4;
  for (ArtifactReport& one : report.artifacts) {
    one.evaluation.measured = Measured{{{"psnr", psnr, Unit::Decibel}}, 5};
    psnr -= .1;
  }
  const std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("PSNR, dB"));
  EXPECT_THAT(html, HasSubstr("<th>PSNR</th>"));
  EXPECT_THAT(html, HasSubstr("31.30 dB, 0.20 dB below dense"));
  EXPECT_THAT(html, HasSubstr(">31.4</text>"));
  EXPECT_THAT(html, Not(HasSubstr("standard error")));
}

TEST(Pages, JsonHoldsThePictures) {
  const nlohmann::json document = to_json(some_report());
  EXPECT_EQ(document["dense"]["top1"], .92);
  ASSERT_EQ(document["artifacts"].size(), 5U);
  const nlohmann::json& exchange = document["artifacts"][0]["exchanges"][0];
  EXPECT_EQ(exchange["value"], "relu<1>&\"2\"");
  EXPECT_EQ(exchange["owner"], nlohmann::json({0, 0, 1, 1, 1, 0}));
  EXPECT_EQ(exchange["kept"], .5);
  EXPECT_EQ(document["artifacts"][0]["costs"][1]["messages_sent"], 7);
}

TEST(Pages, ShortenNamesBetweenLetters) {
  EXPECT_EQ(page::shortened("short", 10), "short");
  EXPECT_EQ(page::shortened("abcdefghijklmnop", 8), "abc…mnop");
  for (std::size_t most = 4; most < 20; ++most) {
    const std::string text = page::shortened("äöüäöüäöüäöüäöü", most);
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      const bool follows = (static_cast<unsigned char>(text[i + 1]) & 0xC0U) == 0x80U;
      // Only the first byte of a letter of several is followed by one of its others, and always is.
      if (byte >= 0xC0 || byte < 0x80) {
        EXPECT_EQ(follows, byte >= 0xC0) << text << " at " << i << " most " << most;
      }
    }
  }
}

}  // namespace
}  // namespace disco
