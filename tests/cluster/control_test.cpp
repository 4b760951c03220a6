// Control messages: what is put comes back, and what cannot be is one line, never a crash, a throw or memory
// that nobody sent.

#include "cluster/control.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace disco::control {
namespace {

ZmqFrame frame(std::string_view text) { return ZmqFrame(std::as_bytes(std::span(text.data(), text.size()))); }

/// Decodes a head and parts, and reads them in every way that a coordinator or a node does.
std::string first_fault(std::string_view head, const std::vector<std::string>& parts = {}) {
  std::vector<ZmqFrame> frames;
  frames.push_back(frame(head));
  for (const std::string& part : parts) frames.push_back(frame(part));
  const auto message = decode(std::move(frames));
  if (!message) return message.error().message;
  const auto fault_of = [](const auto& result) { return result ? std::string() : result.error().message; };
  for (const auto& [key, value] : message->head.items()) {
    Reader reader(*message);
    std::string fault;
    if (key == "shard") fault = fault_of(reader.bytes("shard"));
    if (key == "inputs") fault = fault_of(reader.tensors("inputs"));
    if (key == "input_bands") fault = fault_of(get_route(*message));
    if (key == "labels") fault = fault_of(texts(*message, "labels"));
    if (key == "statistics") fault = fault_of(get_statistics(*message));
    if (key == "trace") fault = fault_of(get_trace(*message));
    if (!fault.empty()) return fault;
  }
  return "";
}

TEST(Control, WhatIsPutComesBack) {
  Message message = success(7);
  const std::string bytes(2 * kChunkBytes + 5, 'b');
  NamedTensors tensors;
  tensors["scalar"] = Tensor::scalar(2.5F);
  tensors["none"] = Tensor::zeros(DataType::Int64, {0, 3});
  tensors["x"] = Tensor::of<std::int32_t>({2, 2}, std::vector<std::int32_t>{1, 2, 3, 4});
  const std::vector<TraceEvent> trace = {{"Conv_1", "Conv", TracePhase::Compute, 5, 9, 0, -1},
                                         {"x", "Send", TracePhase::Pack, 9, 9, 16, 3}};
  put_bytes(message, "shard", bytes);
  put_tensors(message, "inputs", tensors);
  put_statistics(message, {.compute_ms = 1.5, .bytes_sent = 9, .peak_rss_bytes = 1U << 30});
  put_trace(message, trace);
  put_route(message, {.bands = {{"x", {3, 5}}}, .tell = {2}, .await = {0, 1}});
  const auto read = decode(encode(std::move(message)));
  ASSERT_TRUE(read) << read.error().message;
  Reader reader(*read);
  const auto shard = reader.bytes("shard");
  ASSERT_TRUE(shard && shard->size() == bytes.size());
  EXPECT_EQ(static_cast<char>(shard->back()), 'b');
  const auto inputs = reader.tensors("inputs");
  ASSERT_TRUE(inputs) << inputs.error().message;
  ASSERT_EQ(inputs->size(), 3U);
  EXPECT_EQ(inputs->at("scalar").data<float>()[0], 2.5F);
  EXPECT_EQ(inputs->at("none").shape(), (Shape{0, 3}));
  EXPECT_EQ(inputs->at("x").data<std::int32_t>()[3], 4);
  EXPECT_EQ(get_statistics(*read)->peak_rss_bytes, 1U << 30);
  const auto route = get_route(*read);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->bands, (std::map<std::string, Bands>{{"x", {3, 5}}}));
  EXPECT_EQ(route->tell, (std::vector<int>{2}));
  EXPECT_EQ(route->await, (std::vector<int>{0, 1}));
  const auto events = get_trace(*read);
  ASSERT_TRUE(events && events->size() == 2);
  EXPECT_EQ((*events)[1].peer, 3);
  EXPECT_EQ((*events)[1].phase, TracePhase::Pack);
}

TEST(Control, ImagesTravelAsBytesAndComeBackExactly) {
  NamedTensors tensors;
  tensors["image"] = Tensor::zeros(DataType::Float32, {1, 3, 64, 64});
  for (std::int64_t i = 0; i < tensors["image"].elements(); ++i)
    tensors["image"].data<float>()[i] = static_cast<float>(i * 37 % 251) / 57.0F - 1.0F;
  tensors["vector"] = Tensor::of<float>({2}, std::vector<float>{1.5F, -2.0F});
  Message message = success(1);
  put_tensors(message, "inputs", tensors, pack_images(tensors));
  std::size_t bytes = 0;
  for (const ZmqFrame& part : message.parts) bytes += part.bytes().size();
  EXPECT_EQ(bytes, 3 * 1024U + 3 * 4096U + 8U);
  const auto read = decode(encode(std::move(message)));
  ASSERT_TRUE(read) << read.error().message;
  Reader reader(*read);
  const auto back = reader.tensors("inputs");
  ASSERT_TRUE(back) << back.error().message;
  for (const auto& [name, tensor] : tensors) {
    ASSERT_EQ(back->at(name).shape(), tensor.shape()) << name;
    EXPECT_EQ(std::memcmp(back->at(name).raw(), tensor.raw(), tensor.bytes()), 0) << name;
  }
}

TEST(Control, WhatCannotBeIsOneLine) {
  const auto tensor = [](const std::string& type, const std::string& shape, const std::string& bytes,
                         const std::string& chunks = "1") {
    return R"({"disco":4,"id":1,"inputs":[{"name":"x","type":)" + type + R"(,"shape":)" + shape +
           R"(,"bytes":)" + bytes + R"(,"chunks":)" + chunks + "}]}";
  };
  const auto trace = [](const std::string& event) { return R"({"disco":4,"id":1,"trace":[)" + event + "]}"; };
  const auto statistics = [](const std::string& bytes) {
    return R"({"disco":4,"id":1,"statistics":{"compute_ms":0,"pack_ms":0,"wait_ms":0,"total_ms":0,)"
           R"("bytes_sent":)" +
           bytes +
           R"(,"messages_sent":0,"bytes_received":0,"messages_received":0,)"
           R"("peak_rss_bytes":0}})";
  };
  EXPECT_EQ(first_fault(tensor("1", "[1]", "4"), {"abcd"}), "");  // the sound ones
  EXPECT_EQ(first_fault(trace(R"(["n","o",0,1,2,3,-1])")), "");
  EXPECT_EQ(first_fault(statistics("5")), "");
  const std::string heads[] = {
      tensor("1", "[1]", "5"),
      tensor("1", "[2]", "4"),
      tensor("1", "[-1]", "4"),
      tensor("1", "[1]", "4", "0"),
      tensor("1", "[1]", "4", "2"),
      tensor("1", "[1]", "4", "-1"),
      tensor("1", "[1]", "4", "1e300"),
      tensor("0", "[1]", "0"),
      tensor("8", "[1]", "4"),
      tensor("99999999999", "[1]", "4"),
      tensor("1e300", "[1]", "4"),
      tensor("true", "[1]", "4"),
      tensor("1", "[1e300]", "4"),
      tensor("1", "7", "4"),
      tensor("1", "[[1]]", "4"),
      tensor("1", "[4611686018427387904,2,0]", "0", "0"),  // passes int64 on the way to 0
      tensor("2", "[9223372036854775807,2]", "18446744073709551614"),
      tensor("1", "[4611686018427387904,4]", "0", "0"),
      R"({"disco":4,"id":1,"inputs":[{"name":"x","type":1,"shape":[1,3],"bytes":4,"chunks":1,"palette":[1]}]})",
      R"({"disco":4,"id":1,"inputs":[{"name":"x","type":1,"shape":[1,3],"bytes":4,"chunks":1,"palette":[9e99,1]}]})",
      R"({"disco":4,"id":1,"inputs":[{"name":"x","type":1,"shape":[1,3],"bytes":4,"chunks":1,"palette":[1,1]}]})",
      R"({"disco":4,"id":1,"inputs":[{"name":"x","type":7,"shape":[1],"bytes":4,"chunks":1,"palette":[1,1]}]})",
      R"({"disco":4,"id":1,"inputs":[{"name":"x","type":1,"shape":[1],"bytes":4,"chunks":1,"palette":[18446744073709551615,1]}]})",
      R"({"disco":4,"id":1,"inputs":7})",
      R"({"disco":4,"id":1,"input_bands":7})",
      R"({"disco":4,"id":1,"input_bands":[1]})",
      R"({"disco":4,"id":1,"input_bands":{"x":7}})",
      R"({"disco":4,"id":1,"input_bands":{"x":[1,"a"]}})",
      R"({"disco":4,"id":1,"input_bands":{}})",
      R"({"disco":4,"id":1,"input_bands":{},"tell":7,"await":[]})",
      R"({"disco":4,"id":1,"input_bands":{},"tell":[],"await":["a"]})",
      R"({"disco":4,"id":1,"input_bands":{},"tell":[],"await":[-1]})",
      R"({"disco":4,"id":1,"inputs":[7]})",
      R"({"disco":4,"id":1,"inputs":[{}]})",
      R"({"disco":4,"id":1,"shard":{"bytes":1e300,"chunks":1}})",
      R"({"disco":4,"id":1,"shard":{"bytes":-1,"chunks":1}})",
      R"({"disco":4,"id":1,"shard":{"bytes":1900000001,"chunks":1}})",
      R"({"disco":4,"id":1,"shard":{"bytes":4,"chunks":18446744073709551615}})",
      R"({"disco":4,"id":1,"labels":[1]})",
      R"({"disco":4,"id":1,"labels":{"a":"b"}})",
      trace("7"),
      trace("[]"),
      trace(R"(["n","o"])"),
      trace(R"(["n","o",0,1,2,3])"),
      trace(R"(["n","o",9,1,2,3,-1])"),
      trace(R"(["n","o",0,1e300,2,3,-1])"),
      trace(R"(["n","o",0,2,1,3,-1])"),
      trace(R"(["n","o",0,-1,1,3,-1])"),
      trace(R"(["n","o",0,1,9223372036854775807,3,-1])"),
      trace(R"([1,2,0,1,2,3,-1])"),
      trace(R"({"a":1,"b":2})"),
      statistics("-5"),
      statistics("1e300"),
      statistics("\"5\""),
      R"({"disco":4,"id":1,"statistics":[]})",
      R"({"disco":4,"id":1.5})",
      R"({"disco":4,"id":-1})",
      R"({"disco":4})",
      R"({"disco":"1","id":1})",
      R"([1,2])",
      "\xff\xfe",
      "",
  };
  for (const std::string& head : heads) {
    const std::string fault = first_fault(head, {"abcd"});
    EXPECT_NE(fault, "") << head;
    EXPECT_EQ(fault.find('\n'), std::string::npos) << head << ": " << fault;
  }
  EXPECT_NE(first_fault(tensor("1", "[1]", "4")), "") << "without its part";
}

TEST(Control, HeadsThatWouldTakeMemoryAreRefused) {
  EXPECT_NE(first_fault(R"({"disco":4,"id":1,"x":)" + std::string(1 << 20, '[')), "");
  const std::string deep = std::string(1 << 20, '[') + std::string(1 << 20, ']');
  EXPECT_NE(first_fault(R"({"disco":4,"id":1,"x":)" + deep + "}").find("nests too deep"), std::string::npos);
  EXPECT_NE(first_fault(std::string(kMaxHeadBytes + 1, ' ')).find("at most"), std::string::npos);
  EXPECT_EQ(first_fault(R"({"disco":4,"id":1,"x":[[[[1]]]]})"), "");
}

TEST(Control, OtherVersionsSayWhatToDo) {
  const std::string fault = first_fault(R"({"disco":1,"id":1})");
  EXPECT_EQ(
      fault,
      "control protocol version 1, but this program speaks version 4; install the same release everywhere");
}

TEST(Control, ARepliesTextIsOneLine) {
  Message reply = failure(1, {ErrorCode::Io, "two\nlines, \x1b[31mred\x07 and \xC2\x9B late"});
  const auto read = decode(encode(std::move(reply)));
  ASSERT_TRUE(read);
  const auto fault = error_of(*read);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->code, ErrorCode::Io);
  EXPECT_EQ(fault->message, "two?lines, ?[31mred? and ?? late");
  for (const char* head : {R"({"disco":4,"id":1})", R"({"disco":4,"id":1,"ok":false})",
                           R"({"disco":4,"id":1,"ok":1,"code":3,"message":"m"})"}) {
    std::vector<ZmqFrame> frames;
    frames.push_back(frame(head));
    const auto odd = decode(std::move(frames));
    ASSERT_TRUE(odd && error_of(*odd)) << head;
    EXPECT_EQ(error_of(*odd)->code, ErrorCode::ProtocolMismatch) << head;
  }
}

}  // namespace
}  // namespace disco::control
