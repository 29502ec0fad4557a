#include <metal_stdlib>
using namespace metal;
#pragma METAL fp contract(off)


// (5, 37, 1) threadgroups of 32 threads
[[kernel, max_total_threads_per_threadgroup(32)]]
void k_0_v3(
    const device float* v1 [[buffer(0)]],
    const device float* v2 [[buffer(1)]],
    device float* v3 [[buffer(2)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]])
{
  threadgroup float fold0[7];
  const int lane = thread_index;
  for (int i = (int)group.x; i < 5; i += (int)groups.x) {
    for (int j = (int)group.y; j < 37; j += (int)groups.y) {
      const float t2 = lane < 7 ? v1[i * 7 + lane] : 0.0f;
      const float t3 = lane < 7 ? v2[j + lane * 37] : 0.0f;
      const float t4 = fma(t2, t3, 0.0f);
      if (lane < 7) {
        fold0[lane] = t4;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int span = 4; span > 0; span /= 2) {
        if (lane < span && lane + span < 7) {
          const float c0 = fold0[lane] + fold0[lane + span];
          fold0[lane] = c0;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      const float t5 = fold0[0];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (lane == 0) {
        v3[i * 37 + j] = t5;
      }
    }
  }
}

// (5, 1, 1) threadgroups of 32 threads
[[kernel, max_total_threads_per_threadgroup(32)]]
void k_1_v8(
    const device float* v3 [[buffer(0)]],
    device float* v8 [[buffer(1)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]])
{
  threadgroup float v6[37];
  threadgroup float fold0[32];
  const int lane = thread_index;
  const float t1 = as_type<float>(0xff800000u);
  for (int i = (int)group.x; i < 5; i += (int)groups.x) {
    const float t2 = as_type<float>(0xff800000u);
    const float t3 = v3[i * 37 + lane];
    const float t4 = t2 > t3 || t2 != t2 ? t2 : t3;
    fold0[lane] = t4;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const float t5 = fold0[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float t6 = as_type<float>(0xff800000u);
    const float t7 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t8 = t6 > t7 || t6 != t6 ? t6 : t7;
    if (lane < 5) {
      fold0[lane] = t8;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_1 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0_1;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const float t9 = fold0[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float t10 = t5 > t9 || t5 != t5 ? t5 : t9;
    const float t12 = v3[i * 37 + lane];
    const float t13 = t12 - t10;
    const float t14 = exp(t13);
    v6[lane] = t14;
    const float t15 = 0.0f + t14;
    fold0[lane] = t15;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0_2 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const float t16 = fold0[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float t18 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t19 = t18 - t10;
    const float t20 = exp(t19);
    if (lane < 5) {
      v6[lane + 32] = t20;
    }
    const float t21 = 0.0f + t20;
    if (lane < 5) {
      fold0[lane] = t21;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_3 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_3;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    const float t22 = fold0[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float t23 = t16 + t22;
    const float t24 = v6[lane];
    const float t25 = t24 / t23;
    v8[i * 37 + lane] = t25;
    const float t26 = lane < 5 ? v6[lane + 32] : 0.0f;
    const float t27 = t26 / t23;
    if (lane < 5) {
      v8[i * 37 + lane + 32] = t27;
    }
  }
}
