/* $NAME$, compiled by Weft, by WebGPU; by WebAssembly where there is none.
 *
 *   import { load } from "./$NAME$.gpu.js";
 *   const $NAME$ = await load();      // load("webgpu") and load("wasm") insist
 *   const results = await $NAME$($PARAMETERS$);
 *   $NAME$.device;                    // which it is; $NAME$.why says why it is not "webgpu"
 *   $NAME$.dispose();
 *
 * Arguments and results are those of $NAME$.js.
 */
import { load as loadWasm, check, inputs, outputs } from "./$NAME$.js";
export { inputs, outputs };

const PROGRAM = $PROGRAM$;

/** The function; `source` is where the module of WebAssembly is, as for $NAME$.js. */
export async function load(device = "auto", source = undefined) {
  if (!["auto", "webgpu", "wasm"].includes(device))
    throw new TypeError(`$NAME$: a device is "auto", "webgpu" or "wasm", got ${device}`);
  let why = "WebAssembly was asked for";
  if (device !== "wasm") {
    try {
      return await onDevice(await openDevice());
    } catch (error) {
      if (device === "webgpu") throw error;
      why = error.message;
    }
  }
  const run = await loadWasm(source);
  const call = async (...args) => run(...args);
  return Object.assign(call, { device: "wasm", why, dispose: run.dispose });
}

async function openDevice() {
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) throw new Error("$NAME$: there is no WebGPU here");
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("$NAME$: WebGPU has no adapter here");
  for (const [name, least] of Object.entries(PROGRAM.limits))
    if (adapter.limits[name] < least)
      throw new Error(`$NAME$: ${name} is ${adapter.limits[name]} here; ${least} are needed`);
  return adapter.requestDevice({ requiredLimits: PROGRAM.limits });
}

async function onDevice(device) {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const allocate = (bytes, usage) => device.createBuffer({ size: Math.max(4, bytes), usage });
  let failed = null, open = true;
  device.lost.then(({ message }) => { if (open) failed = `the device was lost: ${message}`; });
  device.addEventListener("uncapturederror", ({ error }) => { failed = error.message; });

  const buffers = PROGRAM.slots.map(({ bytes, data }) => {
    const buffer = allocate(bytes, STORAGE | COPY_SRC | COPY_DST);
    if (data) device.queue.writeBuffer(buffer, 0, Uint8Array.from(atob(data), (c) => c.charCodeAt(0)));
    return buffer;
  });
  const counters = allocate(4 * PROGRAM.longest, COPY_SRC | COPY_DST);
  device.queue.writeBuffer(counters, 0, Int32Array.from({ length: PROGRAM.longest || 1 }, (_, n) => n));
  const kernels = await Promise.all(PROGRAM.kernels.map(async ({ symbol, code, reads, grid }) => {
    const layout = device.createBindGroupLayout({ entries: reads.map((only, binding) => ({
      binding, visibility: GPUShaderStage.COMPUTE,
      buffer: { type: only ? "read-only-storage" : "storage" },
    })) });
    const pipeline = await device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ code }), entryPoint: symbol },
    });
    return { layout, pipeline, grid };
  }));

  async function run(args) {
    const place = [...buffers];
    let encoder = null;
    const commands = () => (encoder ??= device.createCommandEncoder());
    const submit = () => { if (encoder) device.queue.submit([encoder.finish()]); encoder = null; };
    /** The bytes of some slots, once they are there. */
    const read = async (slots) => {
      const copies = slots.map((slot) => {
        const { bytes } = PROGRAM.slots[slot], copy = allocate(bytes, MAP_READ | COPY_DST);
        if (bytes) commands().copyBufferToBuffer(place[slot], 0, copy, 0, bytes);
        return [copy, bytes];
      });
      submit();
      return Promise.all(copies.map(async ([copy, bytes]) => {
        await copy.mapAsync(GPUMapMode.READ);
        const found = copy.getMappedRange().slice(0, bytes);
        copy.destroy();
        return found;
      }));
    };
    const number = async (slot) => new Int32Array((await read([slot]))[0])[0];
    const steps = async (list) => {
      for (const [kind, ...rest] of list) {
        if (kind === "launch") {
          const [which, slots] = rest, { layout, pipeline, grid } = kernels[which];
          const entries = slots.map((s, binding) => ({ binding, resource: { buffer: place[s] } }));
          const pass = commands().beginComputePass();
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
          pass.dispatchWorkgroups(...grid);
          pass.end();
        } else if (kind === "copy") {
          const [to, from] = rest, { bytes } = PROGRAM.slots[from];
          if (bytes && place[to] !== place[from])
            commands().copyBufferToBuffer(place[from], 0, place[to], 0, bytes);
        } else if (kind === "part") {
          const [to, start, from, at, bytes] = rest;
          if (bytes) commands().copyBufferToBuffer(place[from], at, place[to], start, bytes);
        } else if (kind === "swap") {
          const [a, b] = rest;
          [place[a], place[b]] = [place[b], place[a]];
        } else if (kind === "for") {
          const [length, counter, body] = rest;
          for (let n = 0; n < length; n++) {
            commands().copyBufferToBuffer(counters, 4 * n, place[counter], 0, 4);
            await steps(body);
          }
        } else if (kind === "while") {
          const [condition, predicate, body] = rest;
          for (await steps(condition); await number(predicate); await steps(condition))
            await steps(body);
        } else {
          const [index, branches] = rest;
          await steps(branches[Math.min(Math.max(await number(index), 0), branches.length - 1)]);
        }
      }
    };
    args.forEach((array, n) => {
      const words = inputs[n][4].startsWith("bool") ? Uint32Array.from(array) : array;
      if (words.length) device.queue.writeBuffer(place[PROGRAM.inputs[n]], 0, words);
    });
    await steps(PROGRAM.steps);
    const found = await read(PROGRAM.outputs);
    if (failed) throw new Error(`$NAME$ on WebGPU: ${failed}`);
    return Object.fromEntries(outputs.map(([name, Kind, , , type], n) =>
      [name, type.startsWith("bool") ? Uint8Array.from(new Uint32Array(found[n])) : new Kind(found[n])]));
  }

  let last = Promise.resolve();
  const call = (...args) => {
    if (!open) throw new Error("$NAME$ was disposed of: load it again");
    check(args);
    const found = last.then(() => run(args));
    last = found.catch(() => {});
    return found;
  };
  /** Gives up the device and its memory; calls are errors from then on. */
  const dispose = () => { open = false; device.destroy(); };
  return Object.assign(call, { device: "webgpu", why: "", dispose });
}
