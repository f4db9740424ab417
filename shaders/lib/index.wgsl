// Undoes the folding of long one-dimensional dispatches into two dimensions (src/gpu/recorder.ts).

// Index of this invocation; `size` is the workgroup's number of invocations.
fn linear_index(gid: vec3<u32>, groups: vec3<u32>, size: u32) -> u32 {
  return gid.x + gid.y * groups.x * size;
}

// Index of this workgroup.
fn linear_group(wid: vec3<u32>, groups: vec3<u32>) -> u32 {
  return wid.x + wid.y * groups.x;
}
