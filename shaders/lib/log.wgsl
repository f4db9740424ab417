// Natural logarithm of a positive normal number to 1 ulp; infinity and NaN pass through. The built-in of software adapters
// is off by 2e-7 of its value and more, which every log-probability would carry. After FreeBSD's e_logf.c: x = 2^k (1 + f)
// with 1 + f in [sqrt(1/2), sqrt(2)), and log(1 + f) as a polynomial in s = f / (2 + f).
fn log_f32(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (bits >= 0x7f800000u) { return x; }
  let shifted = bits + 0x3f800000u - 0x3f3504f3u;
  let k = f32(i32(shifted >> 23u) - 127);
  let f = bitcast<f32>((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0;
  let s = f / (2.0 + f);
  let z = s * s;
  let w = z * z;
  let r = z * (0.66666662693 + w * 0.28498786688) + w * (0.40000972152 + w * 0.24279078841);
  let half = 0.5 * f * f;
  return s * (half + r) + k * 9.0580006145e-6 - half + f + k * 6.9313812256e-1;
}
