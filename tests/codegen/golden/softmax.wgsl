// grid (1, 1, 1), 32 threads
@group(0) @binding(0) var<storage, read> v1: array<f32>;
@group(0) @binding(1) var<storage, read> v2: array<f32>;
@group(0) @binding(2) var<storage, read_write> v3: array<f32>;


@compute @workgroup_size(32)
fn k_0_v3(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = i32(thread);
  let t0: f32 = 0.0f;
  for (var i: i32 = i32(group.x) * 4; i < 4; i += i32(groups.x) * 4) {
    var t4_0: f32 = t0;
    var t4_1: f32 = t0;
    var t4_2: f32 = t0;
    var t4_3: f32 = t0;
    for (var r: i32 = 0; r < 7; r += 1) {
      let t5_0: f32 = v1[i * 7 + r];
      let t5_1: f32 = v1[i * 7 + r + 7];
      let t5_2: f32 = v1[i * 7 + r + 14];
      let t5_3: f32 = v1[i * 7 + r + 21];
      let t6: f32 = v2[r * 37 + lane];
      let t7_0: f32 = fma(t5_0, t6, t4_0);
      let t7_1: f32 = fma(t5_1, t6, t4_1);
      let t7_2: f32 = fma(t5_2, t6, t4_2);
      let t7_3: f32 = fma(t5_3, t6, t4_3);
      t4_0 = t7_0;
      t4_1 = t7_1;
      t4_2 = t7_2;
      t4_3 = t7_3;
    }
    v3[i * 37 + lane] = t4_0;
    v3[i * 37 + lane + 37] = t4_1;
    v3[i * 37 + lane + 74] = t4_2;
    v3[i * 37 + lane + 111] = t4_3;
    var t11_0: f32 = t0;
    var t11_1: f32 = t0;
    var t11_2: f32 = t0;
    var t11_3: f32 = t0;
    for (var r_1: i32 = 0; r_1 < 7; r_1 += 1) {
      let t12_0: f32 = v1[i * 7 + r_1];
      let t12_1: f32 = v1[i * 7 + r_1 + 7];
      let t12_2: f32 = v1[i * 7 + r_1 + 14];
      let t12_3: f32 = v1[i * 7 + r_1 + 21];
      var t13: f32 = 0.0f;
      if (lane < 5) {
        t13 = v2[r_1 * 37 + lane + 32];
      }
      let t14_0: f32 = fma(t12_0, t13, t11_0);
      let t14_1: f32 = fma(t12_1, t13, t11_1);
      let t14_2: f32 = fma(t12_2, t13, t11_2);
      let t14_3: f32 = fma(t12_3, t13, t11_3);
      t11_0 = t14_0;
      t11_1 = t14_1;
      t11_2 = t14_2;
      t11_3 = t14_3;
    }
    if (lane < 5) {
      v3[i * 37 + lane + 32] = t11_0;
      v3[i * 37 + lane + 69] = t11_1;
      v3[i * 37 + lane + 106] = t11_2;
      v3[i * 37 + lane + 143] = t11_3;
    }
  }
  for (var i_1: i32 = 4 + i32(group.x); i_1 < 5; i_1 += i32(groups.x)) {
    var t17: f32 = t0;
    for (var r_2: i32 = 0; r_2 < 7; r_2 += 1) {
      let t18: f32 = v1[i_1 * 7 + r_2];
      let t19: f32 = v2[lane + r_2 * 37];
      let t20: f32 = fma(t18, t19, t17);
      t17 = t20;
    }
    v3[lane + i_1 * 37] = t17;
    var t23: f32 = t0;
    for (var r_3: i32 = 0; r_3 < 7; r_3 += 1) {
      let t24: f32 = v1[i_1 * 7 + r_3];
      var t25: f32 = 0.0f;
      if (lane < 5) {
        t25 = v2[lane + r_3 * 37 + 32];
      }
      let t26: f32 = fma(t24, t25, t23);
      t23 = t26;
    }
    if (lane < 5) {
      v3[lane + i_1 * 37 + 32] = t23;
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
var<workgroup> v5: array<f32, 37>;
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
    v5[lane] = t13;
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
    if (lane < 5) {
      v5[lane + 32] = t19;
    }
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
