#include "train/parallel.h"

#include <ATen/core/grad_mode.h>

#include <charconv>

#include "train/bridge.h"
#include "train/network.h"

#ifdef DISCO_GLOO
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace disco::train {

Status average_gradients(Weights& weights, Group& group) {
  std::vector<at::Tensor> gradients;
  for (auto& [name, tensor] : weights.parameters) {
    if (!tensor.grad().defined()) tensor.mutable_grad() = at::zeros_like(tensor);
    gradients.push_back(tensor.grad());
  }
  return group.average(gradients);
}

#ifdef DISCO_GLOO

namespace {

class GlooGroup final : public Group {
 public:
  GlooGroup(const GroupOptions& options, const std::string& host, std::uint16_t port)
      : rank_(options.rank), size_(options.size) {
    c10d::TCPStoreOptions store;
    store.port = port;
    store.isServer = options.rank == 0;
    store.numWorkers = static_cast<std::size_t>(options.size);
    store.timeout = options.deadline;
    // LibTorch 2.4 and newer would use libuv, which Debian's is built without.
    const auto without_libuv = [](auto& options_of_store) {
      if constexpr (requires { options_of_store.useLibUV; }) options_of_store.useLibUV = false;
    };
    without_libuv(store);
    store_ = c10::make_intrusive<c10d::TCPStore>(host, store);
    auto gloo = c10d::ProcessGroupGloo::Options::create(options.deadline);
    // The interface through which rank 0 is seen; on one machine, loopback.
    gloo->devices.push_back(host == "127.0.0.1" || host == "localhost"
                                ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                : c10d::ProcessGroupGloo::createDefaultDevice());
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store_, options.rank, options.size, gloo);
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  Status average(const std::vector<at::Tensor>& tensors) override {
    return in_one(tensors, [&](std::vector<at::Tensor>& flat) {
      group_->allreduce(flat)->wait();
      flat[0].div_(size_);
    });
  }
  Status broadcast(const std::vector<at::Tensor>& tensors) override {
    return in_one(tensors, [&](std::vector<at::Tensor>& flat) { group_->broadcast(flat)->wait(); });
  }

 private:
  /// All tensors as one message.
  template <class Exchange>
  Status in_one(const std::vector<at::Tensor>& tensors, const Exchange& exchange) {
    const at::NoGradGuard no_grad;
    try {
      std::vector<at::Tensor> parts;
      for (const at::Tensor& tensor : tensors) parts.push_back(tensor.detach().reshape({-1}).to(at::kCPU));
      if (parts.empty()) return {};
      std::vector<at::Tensor> flat = {at::cat(parts)};
      exchange(flat);
      std::int64_t at = 0;
      for (const at::Tensor& tensor : tensors) {
        tensor.detach().copy_(flat[0].narrow(0, at, tensor.numel()).reshape(tensor.sizes()));
        at += tensor.numel();
      }
    } catch (const std::exception& problem) {
      return error(ErrorCode::PeerLost, "another process of this training run is gone: {}",
                   first_line(problem));
    }
    return {};
  }

  int rank_, size_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

Result<std::unique_ptr<Group>> join_group(const GroupOptions& options) {
  const std::size_t colon = options.address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos) {
    std::from_chars(options.address.data() + colon + 1, options.address.data() + options.address.size(),
                    port);
  }
  if (port == 0 || colon == 0) {
    return error(ErrorCode::InvalidArgument, "'{}' is no address; one looks like 192.168.1.10:29400",
                 options.address);
  }
  try {
    return std::unique_ptr<Group>(
        std::make_unique<GlooGroup>(options, options.address.substr(0, colon), port));
  } catch (const std::exception& problem) {
    return error(ErrorCode::Timeout, "rank {} of {} did not meet the others at {}: {}", options.rank,
                 options.size, options.address, first_line(problem));
  }
}

#else

Result<std::unique_ptr<Group>> join_group(const GroupOptions&) {
  return error(
      ErrorCode::Unsupported,
      "this disco-train was built without gloo's headers (libgloo-dev), so it trains in one process");
}

#endif

}  // namespace disco::train
