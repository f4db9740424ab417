// What the lanes of attention-lanes.wgsl share with how they exchange (lib/attention-exchange-*.wgsl) and load.

const HEAD_OCTETS = (HEAD_PAIRS + 3u) / 4u;
const OCTETS = (HEAD_OCTETS + LANES - 1u) / LANES; // of a lane
const GROUPS = THREADS / LANES;
const OWN = STEP / LANES; // keys of a step that a lane weighs

alias Octet = array<vec4<f32>, 2>;
alias Own = array<f32, OWN>;

fn first_own_key(lane: u32) -> u32 { return lane * STEP / LANES; }

// Joined in halves.
fn sum_of_shares(shares: array<f32, LANES>) -> f32 {
  var sums = shares;
  if (LANES > 4u) { for (var s = 0u; s < 4u; s++) { sums[s] += sums[s + 4u]; } }
  if (LANES > 2u) { for (var s = 0u; s < 2u; s++) { sums[s] += sums[s + 2u]; } }
  if (LANES > 1u) { for (var s = 0u; s < 1u; s++) { sums[s] += sums[s + 1u]; } }
  return sums[0];
}
