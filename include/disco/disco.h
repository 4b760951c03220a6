#pragma once
// Runs one neural network over several nodes: the channels of every layer are split over them, each holds and
// computes its part only, and the answer is that of the unsplit model.
//
//     const auto model = disco::Model::load("resnet50.onnx");
//     if (!model) return fail(model.error());
//     const auto split = disco::Split::make(*model, {.nodes = 2});
//     if (!split) return fail(split.error());
//     auto session = disco::Session::start(*split);
//     if (!session) return fail(session.error());
//     const auto result = session->run({{"input", image}});  // a Tensor of [1, 3, 224, 224]
//     if (!result) return fail(result.error());
//     const disco::Tensor& logits = result->outputs.at("logits");
//
// Errors are values (see result.h): no function of these headers throws. They include nothing but the
// standard library, and link to nothing but libdisco.

#include <disco/cluster.h>
#include <disco/cost.h>
#include <disco/model.h>
#include <disco/result.h>
#include <disco/run.h>
#include <disco/session.h>
#include <disco/split.h>
#include <disco/tensor.h>
#include <disco/version.h>
