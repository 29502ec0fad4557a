/* $NAME$, compiled by Weft. It takes typed arrays for
$PURPOSE$
 *
 *   import { load } from "./$NAME$.js";
 *   const $NAME$ = await load();
 *   const results = $NAME$($PARAMETERS$);
 *   $NAME$.dispose();
 */
const PAGES = $PAGES$, STACK = $STACK$, TABLE = $TABLE$, ARENA = $ARENA$;

/** Name, kind of array, length, place in memory, type. */
export const inputs = $INPUTS$;
export const outputs = $OUTPUTS$;

/** Throws what tells whoever passes other arrays than these what to pass. */
export function check(args) {
  if (args.length !== inputs.length)
    throw new TypeError(`$NAME$ takes ${inputs.length} arrays, got ${args.length}`);
  args.forEach((array, n) => {
    const [name, Kind, length, , type] = inputs[n];
    if (!(array instanceof Kind) || array.length !== length)
      throw new TypeError(`$NAME$: ${name} is ${type}, a ${Kind.name} of ${length} elements`);
  });
}

/** The function; `source` is where the module of WebAssembly is (a URL), or its bytes. */
export async function load(source = new URL("./$NAME$.wasm", import.meta.url)) {
  const given = ArrayBuffer.isView(source) || source instanceof ArrayBuffer;
  const response = given ? null : await fetch(source);
  if (response && !response.ok) throw new Error(`$NAME$: ${source} gave ${response.status}`);
  const bytes = given ? source : await response.arrayBuffer();
  let memory = new WebAssembly.Memory({ initial: PAGES });
  const stack = new WebAssembly.Global({ value: "i32", mutable: true }, STACK | 0);
  const env = { __linear_memory: memory, __stack_pointer: stack };
  let { instance } = await WebAssembly.instantiate(bytes, { env });

  const call = (...args) => {
    if (instance === null) throw new Error("$NAME$ was disposed of: load it again");
    check(args);
    args.forEach((array, n) => {
      const [, Kind, length, place] = inputs[n];
      new Kind(memory.buffer, place, length).set(array);
    });
    instance.exports.main(TABLE | 0, ARENA | 0, 0);
    return Object.fromEntries(outputs.map(([name, Kind, length, place]) =>
      [name, new Kind(memory.buffer, place, length).slice()]));
  };
  /** Gives up the memory; calls are errors from then on. */
  call.dispose = () => { instance = memory = null; };
  return call;
}
