// The dense cloud: coordinates in 16 bits within a box, colors in sRGB.
import { BufferAttribute, BufferGeometry } from 'three';

const STEPS = 65535;

/** `facts`: {count, low, high}; `bytes`: all coordinates, then all colors. */
export function cloudGeometry({ count, low, high }, bytes) {
  const steps = new Uint16Array(bytes, 0, 3 * count);
  const shades = new Uint8Array(bytes, 6 * count, 3 * count);
  const places = new Float32Array(3 * count);
  const linear = new Float32Array(3 * count);
  const table = Float32Array.from({ length: 256 }, (_, i) => (i <= 10 ? i / 255 / 12.92 : ((i / 255 + 0.055) / 1.055) ** 2.4));
  for (let i = 0; i < 3 * count; i++) {
    places[i] = low[i % 3] + (steps[i] / STEPS) * (high[i % 3] - low[i % 3]);
    linear[i] = table[shades[i]];
  }
  return new BufferGeometry().setAttribute('position', new BufferAttribute(places, 3)).setAttribute('color', new BufferAttribute(linear, 3));
}
