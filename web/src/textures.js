// Large textures: a small copy for the first frame, the whole when that stands on the screen.
import { ClampToEdgeWrapping, MirroredRepeatWrapping, RepeatWrapping, Texture } from 'three';

const PREVIEW_PX = 2048;
const AS_STORED = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
const WRAPS = { 33071: ClampToEdgeWrapping, 33648: MirroredRepeatWrapping, 10497: RepeatWrapping };

/** A GLTFLoader plug-in that decodes large JPEGs at a fraction of their size, where the browser can. */
export function smallFirst(parser) {
  return {
    name: 'insaat_small_first',
    loadTexture: async (index) => (await smallTexture(parser, index)) ?? parser.loadTexture(index),
  };
}

async function smallTexture(parser, index) {
  const entry = parser.json.textures[index];
  const image = parser.json.images?.[entry.source];
  if (!window.ImageDecoder || image?.mimeType !== 'image/jpeg' || image.bufferView === undefined) return null;
  const bytes = new Uint8Array(await parser.getDependency('bufferView', image.bufferView));
  const size = jpegSize(bytes);
  if (!size || Math.max(...size) <= 2 * PREVIEW_PX) return null;
  const bitmap = await decodedSmall(bytes, size).catch(() => null);
  if (!bitmap) return null;
  const texture = new Texture(bitmap);
  const sampler = parser.json.samplers?.[entry.sampler] || {};
  texture.flipY = false;
  texture.wrapS = WRAPS[sampler.wrapS] || RepeatWrapping;
  texture.wrapT = WRAPS[sampler.wrapT] || RepeatWrapping;
  texture.needsUpdate = true;
  texture.userData.whole = () => createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }), AS_STORED);
  parser.associations.set(texture, { textures: index });
  return texture;
}

async function decodedSmall(bytes, [width, height]) {
  let share = 1;
  while (Math.max(width, height) / (2 * share) >= PREVIEW_PX) share *= 2; // JPEG scales by halves
  const decoder = new ImageDecoder({
    data: bytes, type: 'image/jpeg', desiredWidth: Math.ceil(width / share), desiredHeight: Math.ceil(height / share),
  });
  const { image } = await decoder.decode();
  const scale = Math.min(1, PREVIEW_PX / Math.max(image.displayWidth, image.displayHeight));
  const options = { ...AS_STORED, resizeWidth: Math.round(image.displayWidth * scale), resizeHeight: Math.round(image.displayHeight * scale), resizeQuality: 'low' };
  const bitmap = await createImageBitmap(image, scale < 1 ? options : AS_STORED);
  image.close();
  decoder.close();
  return bitmap;
}

/** Width and height in the first frame header of a JPEG, or null. */
export function jpegSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const kind = bytes[at + 1];
    if (kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind)) return [view.getUint16(at + 7), view.getUint16(at + 5)];
  }
  return null;
}
