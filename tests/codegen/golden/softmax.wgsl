// grid (5, 37, 1), 32 threads
@group(0) @binding(0) var<storage, read> v1: array<f32>;
@group(0) @binding(1) var<storage, read> v2: array<f32>;
@group(0) @binding(2) var<storage, read_write> v3: array<f32>;

var<workgroup> fold0: array<f32, 7>;

@compute @workgroup_size(32)
fn k_0_v3(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    for (var j: i32 = i32(group.y); j < 37; j += i32(groups.y)) {
      let t1: f32 = 0.0f;
      var t2: f32 = 0.0f;
      if (lane < 7) {
        t2 = v1[i * 7 + lane];
      }
      var t3: f32 = 0.0f;
      if (lane < 7) {
        t3 = v2[j + lane * 37];
      }
      let t4: f32 = fma(t2, t3, t1);
      if (lane < 7) {
        fold0[lane] = t4;
      }
      workgroupBarrier();
      for (var span: i32 = 4; span > 0; span /= 2) {
        if (lane < span && lane + span < 7) {
          let c0: f32 = fold0[lane] + fold0[lane + span];
          fold0[lane] = c0;
        }
        workgroupBarrier();
      }
      let t5: f32 = fold0[0];
      workgroupBarrier();
      if (lane == 0) {
        v3[i * 37 + j] = t5;
      }
    }
  }
}

// grid (5, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v3: array<f32>;
@group(0) @binding(1) var<storage, read_write> v8: array<f32>;

fn weft_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}
fn weft_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
var<workgroup> v6: array<f32, 37>;
var<workgroup> fold0: array<f32, 32>;

@compute @workgroup_size(32)
fn k_1_v8(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  let t1: f32 = weft_bits(0xff800000u);
  for (var i: i32 = i32(group.x); i < 5; i += i32(groups.x)) {
    let t2: f32 = weft_bits(0xff800000u);
    let t3: f32 = v3[i * 37 + lane];
    let t4: f32 = select(t3, t2, t2 > t3 || weft_nan(t2));
    fold0[lane] = t4;
    workgroupBarrier();
    for (var span: i32 = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        let c0: f32 = select(fold0[lane + span], fold0[lane], fold0[lane] > fold0[lane + span] || weft_nan(fold0[lane]));
        fold0[lane] = c0;
      }
      workgroupBarrier();
    }
    let t5: f32 = fold0[0];
    workgroupBarrier();
    let t6: f32 = weft_bits(0xff800000u);
    var t7: f32 = 0.0f;
    if (lane < 5) {
      t7 = v3[i * 37 + lane + 32];
    }
    let t8: f32 = select(t7, t6, t6 > t7 || weft_nan(t6));
    if (lane < 5) {
      fold0[lane] = t8;
    }
    workgroupBarrier();
    for (var span: i32 = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        let c0_1: f32 = select(fold0[lane + span], fold0[lane], fold0[lane] > fold0[lane + span] || weft_nan(fold0[lane]));
        fold0[lane] = c0_1;
      }
      workgroupBarrier();
    }
    let t9: f32 = fold0[0];
    workgroupBarrier();
    let t10: f32 = select(t9, t5, t5 > t9 || weft_nan(t5));
    let t11: f32 = 0.0f;
    let t12: f32 = v3[i * 37 + lane];
    let t13: f32 = t12 - t10;
    let t14: f32 = exp(t13);
    v6[lane] = t14;
    let t15: f32 = t11 + t14;
    fold0[lane] = t15;
    workgroupBarrier();
    for (var span: i32 = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        let c0_2: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      workgroupBarrier();
    }
    let t16: f32 = fold0[0];
    workgroupBarrier();
    let t17: f32 = 0.0f;
    var t18: f32 = 0.0f;
    if (lane < 5) {
      t18 = v3[i * 37 + lane + 32];
    }
    let t19: f32 = t18 - t10;
    let t20: f32 = exp(t19);
    if (lane < 5) {
      v6[lane + 32] = t20;
    }
    let t21: f32 = t17 + t20;
    if (lane < 5) {
      fold0[lane] = t21;
    }
    workgroupBarrier();
    for (var span: i32 = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        let c0_3: f32 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_3;
      }
      workgroupBarrier();
    }
    let t22: f32 = fold0[0];
    workgroupBarrier();
    let t23: f32 = t16 + t22;
    let t24: f32 = v6[lane];
    let t25: f32 = t24 / t23;
    v8[i * 37 + lane] = t25;
    var t26: f32 = 0.0f;
    if (lane < 5) {
      t26 = v6[lane + 32];
    }
    let t27: f32 = t26 / t23;
    if (lane < 5) {
      v8[i * 37 + lane + 32] = t27;
    }
  }
}
