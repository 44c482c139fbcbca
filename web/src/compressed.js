// Meshes compressed with Draco (KHR_draco_mesh_compression), decoded in this thread: a worker would
// need a wider policy than `script-src 'self'`.
import { BufferAttribute, BufferGeometry } from 'three';

const SCRIPT = 'draco.js';
const TYPES = ['Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array'];
const MAX_POINTS = 120e6; // the Python side refuses more, too
const MAX_FACES = 60e6;

let starting = null;

/** The decoder: part of the page in a single file, else asked for when first needed. */
function decoderModule() {
  starting ??= new Promise((resolve, reject) => {
    if (window.DracoDecoderModule) return resolve();
    const script = document.createElement('script');
    script.src = SCRIPT;
    script.onload = resolve;
    script.onerror = () => reject(new Error('the decoder for this compression is not there'));
    return document.head.append(script);
  }).then(() => window.DracoDecoderModule());
  return starting;
}

/** What GLTFLoader needs of a DRACOLoader. */
export class DracoLoader {
  preload() {}

  decodeDracoFile(buffer, onDone, ids, types, colorSpace, onError) {
    decoderModule().then((draco) => onDone(decoded(draco, new Int8Array(buffer), ids, types))).catch(onError);
  }
}

function decoded(draco, bytes, ids, types) {
  const decoder = new draco.Decoder();
  const mesh = new draco.Mesh();
  try {
    const status = decoder.DecodeArrayToMesh(bytes, bytes.byteLength, mesh);
    if (!status.ok() || !mesh.ptr) throw new Error('its compressed part is broken');
    if (mesh.num_points() > MAX_POINTS || mesh.num_faces() > MAX_FACES) throw new Error('it is too large');
    const geometry = new BufferGeometry();
    const indices = filled(draco, Uint32Array, mesh.num_faces() * 3, (size, at) => decoder.GetTrianglesUInt32Array(mesh, size, at));
    geometry.setIndex(new BufferAttribute(indices, 1));
    for (const [name, id] of Object.entries(ids)) {
      const type = types[name] || 'Float32Array';
      const attribute = decoder.GetAttributeByUniqueId(mesh, id);
      if (!attribute.ptr || !TYPES.includes(type)) throw new Error('its compressed part lacks what it names');
      const width = attribute.num_components();
      const kind = draco[`DT_${type.replace('Array', '').toUpperCase()}`];
      const values = filled(draco, window[type], mesh.num_points() * width, (size, at) => decoder.GetAttributeDataArrayForAllPoints(mesh, attribute, kind, size, at));
      geometry.setAttribute(name, new BufferAttribute(values, width));
    }
    return geometry;
  } finally {
    draco.destroy(mesh);
    draco.destroy(decoder);
  }
}

/** A typed array that `fill` wrote into the decoder's memory. */
function filled(draco, Type, length, fill) {
  const size = length * Type.BYTES_PER_ELEMENT;
  const at = draco._malloc(size);
  try {
    fill(size, at);
    return new Type(draco.HEAPF32.buffer, at, length).slice();
  } finally {
    draco._free(at);
  }
}
