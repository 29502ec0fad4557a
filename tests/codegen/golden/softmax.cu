// grid (5, 37, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_0_v3(const float* v1, const float* v2, float* v3)
{
  __shared__ float fold0[7];
  const int lane = threadIdx.x;
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    for (int j = (int)blockIdx.y; j < 37; j += (int)gridDim.y) {
      const float t2 = lane < 7 ? v1[i * 7 + lane] : 0.0f;
      const float t3 = lane < 7 ? v2[j + lane * 37] : 0.0f;
      const float t4 = fmaf(t2, t3, 0.0f);
      if (lane < 7) {
        fold0[lane] = t4;
      }
      __syncthreads();
      for (int span = 4; span > 0; span /= 2) {
        if (lane < span && lane + span < 7) {
          const float c0 = fold0[lane] + fold0[lane + span];
          fold0[lane] = c0;
        }
        __syncthreads();
      }
      const float t5 = fold0[0];
      __syncthreads();
      if (lane == 0) {
        v3[i * 37 + j] = t5;
      }
    }
  }
}

// grid (5, 1, 1), 32 threads
extern "C" __global__ void __launch_bounds__(32)
k_1_v8(const float* v3, float* v8)
{
  __shared__ float v6[37];
  __shared__ float fold0[32];
  const int lane = threadIdx.x;
  const float t1 = __int_as_float(0xff800000);
  for (int i = (int)blockIdx.x; i < 5; i += (int)gridDim.x) {
    const float t2 = __int_as_float(0xff800000);
    const float t3 = v3[i * 37 + lane];
    const float t4 = t2 > t3 || t2 != t2 ? t2 : t3;
    fold0[lane] = t4;
    __syncthreads();
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0;
      }
      __syncthreads();
    }
    const float t5 = fold0[0];
    __syncthreads();
    const float t6 = __int_as_float(0xff800000);
    const float t7 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t8 = t6 > t7 || t6 != t6 ? t6 : t7;
    if (lane < 5) {
      fold0[lane] = t8;
    }
    __syncthreads();
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_1 = fold0[lane] > fold0[lane + span] || fold0[lane] != fold0[lane] ? fold0[lane] : fold0[lane + span];
        fold0[lane] = c0_1;
      }
      __syncthreads();
    }
    const float t9 = fold0[0];
    __syncthreads();
    const float t10 = t5 > t9 || t5 != t5 ? t5 : t9;
    const float t12 = v3[i * 37 + lane];
    const float t13 = t12 - t10;
    const float t14 = expf(t13);
    v6[lane] = t14;
    const float t15 = 0.0f + t14;
    fold0[lane] = t15;
    __syncthreads();
    for (int span = 16; span > 0; span /= 2) {
      if (lane < span && lane + span < 32) {
        const float c0_2 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_2;
      }
      __syncthreads();
    }
    const float t16 = fold0[0];
    __syncthreads();
    const float t18 = lane < 5 ? v3[i * 37 + lane + 32] : 0.0f;
    const float t19 = t18 - t10;
    const float t20 = expf(t19);
    if (lane < 5) {
      v6[lane + 32] = t20;
    }
    const float t21 = 0.0f + t20;
    if (lane < 5) {
      fold0[lane] = t21;
    }
    __syncthreads();
    for (int span = 4; span > 0; span /= 2) {
      if (lane < span && lane + span < 5) {
        const float c0_3 = fold0[lane] + fold0[lane + span];
        fold0[lane] = c0_3;
      }
      __syncthreads();
    }
    const float t22 = fold0[0];
    __syncthreads();
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
