// Of a token whose d loss / d logprob, over the temperature, is `scale`: 0 of a token that is not trained, whatever its logits are.
fn dlogit(logit: f32, inverse_temperature: f32, normalizer: f32, scale: f32, is_target: bool) -> f32 {
  if (scale == 0.0) { return 0.0; }
  let p = exp_f32(logit * inverse_temperature - normalizer);
  return scale * (select(0.0, 1.0, is_target) - p);
}
