import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Model } from "./model.ts";

/** Where each parameter lies in one tensor with all of them, in elements; `headStart` is where the head begins. */
interface Packing {
  places: { parameter: Tensor; start: number }[];
  size: number;
  headStart: number;
}

/**
 * The order of a model's parameters in one tensor: the embedding; of each layer the first norm, the projections to queries, keys
 * and values and their biases, the output projection and its bias, the second norm, gate and up and their biases, down and its
 * bias; the last norm; the head, where it is not the embedding. A bias that the model has not has its room.
 */
export function packing(model: Model): Packing {
  const { hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads, headDim, tieWordEmbeddings } = model.config;
  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  const places: Packing["places"] = [];
  let size = 0;
  const place = (parameter: Tensor) => {
    places.push({ parameter, start: size });
    size += parameter.size;
  };
  place(model.parameter("model.embed_tokens.weight"));
  for (let layer = 0; layer < numLayers; layer++) {
    const weight = (name: string) => place(model.parameter(`model.layers.${layer}.${name}.weight`));
    const bias = (name: string, outputs: number) => {
      const parameter = model.parameters.get(`model.layers.${layer}.${name}.bias`);
      if (parameter) place(parameter);
      else size += outputs;
    };
    weight("input_layernorm");
    for (const name of ["q_proj", "k_proj", "v_proj"]) weight(`self_attn.${name}`);
    bias("self_attn.q_proj", queries);
    for (const name of ["k_proj", "v_proj"]) bias(`self_attn.${name}`, keys);
    weight("self_attn.o_proj");
    bias("self_attn.o_proj", hiddenSize);
    weight("post_attention_layernorm");
    for (const name of ["gate_proj", "up_proj"]) weight(`mlp.${name}`);
    for (const name of ["gate_proj", "up_proj"]) bias(`mlp.${name}`, intermediateSize);
    weight("mlp.down_proj");
    bias("mlp.down_proj", hiddenSize);
  }
  place(model.parameter("model.norm.weight"));
  const headStart = tieWordEmbeddings ? 0 : size;
  if (!tieWordEmbeddings) place(model.parameter(model.headName));

  return { places, size, headStart };
}

/** A copy of all parameters, elem [size], zeros where there is none. The caller releases it; it is right until the model is trained on. */
export function packWeights(rec: Recorder, model: Model): { weights: Tensor; headStart: number } {
  const { places, size, headStart } = packing(model);
  const weights = rec.gpu.empty([size], model.storage);
  rec.clear(weights);
  for (const { parameter, start } of places) rec.copy(parameter, weights, start);
  return { weights, headStart };
}
