// The model: read from GLB, drawn in four ways over the same buffers.
import {
  DoubleSide, Group, LoadingManager, Mesh, MeshBasicMaterial, MeshLambertMaterial, Points, ShaderMaterial, Vector3,
} from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { DracoLoader } from './compressed.js';
import { smallFirst } from './textures.js';

export const MODES = ['textured', 'shaded', 'wireframe', 'points'];
const SAMPLES = 20000;
const OUTLIERS = 0.02; // share of the vertices at either end of an axis that the first view may cut

const PREVIEW_PX = 2048; // the first frame need not wait until the largest texture is on the card

/** Read a GLB. Anything that it wants from outside is refused: this page asks nobody for anything. */
export async function parseModel(bytes) {
  const manager = new LoadingManager();
  manager.setURLModifier((url) => {
    if (/^(blob|data):/.test(url)) return url;
    throw new Error('The model refers to a file outside itself');
  });
  const loader = new GLTFLoader(manager).setDRACOLoader(new DracoLoader()).register(smallFirst);
  const gltf = await loader.parseAsync(bytes, '');
  gltf.scene.updateMatrixWorld(true);
  const parts = [];
  gltf.scene.traverse((node) => {
    if (node.isMesh || node.isPoints) parts.push(node);
  });
  if (!parts.length) throw new Error('The model is empty');
  const model = new Model(parts);
  await model.coarsen();
  return model;
}

class Model {
  constructor(parts) {
    this.parts = parts.map((part) => new Part(part));
    this.group = new Group();
    this.drawn = new Map();
    this.vertices = sum(this.parts.map((part) => part.geometry.attributes.position.count));
    this.faces = sum(this.parts.map((part) => part.faces));
    this.planes = [];
    this.focus = focusOf(this.parts);
  }

  /** Show small copies of large textures until `refine`, also where they had to be decoded whole. */
  async coarsen() {
    this.full = new Map();
    for (const { map } of this.parts) {
      if (map?.userData.whole) this.full.set(map, map.userData.whole);
      if (!(map?.image instanceof ImageBitmap) || map.image.width <= 2 * PREVIEW_PX || this.full.has(map)) continue;
      const { image } = map;
      this.full.set(map, async () => image);
      const options = { resizeWidth: PREVIEW_PX, resizeQuality: 'low', premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
      map.image = await createImageBitmap(map.image, options);
    }
  }

  /** Put the textures' full size in place. Resolves to whether anything changed. */
  async refine() {
    for (const [map, whole] of this.full) {
      const image = await whole();
      map.dispose(); // its place on the card has the small size
      map.image = image;
      map.needsUpdate = true;
    }
    const changed = this.full.size > 0;
    this.full.clear();
    return changed;
  }

  show(mode) {
    if (!this.drawn.has(mode)) {
      const group = new Group();
      for (const part of this.parts) group.add(...part.drawn(mode, this.planes));
      this.drawn.set(mode, group);
    }
    this.mode = mode;
    this.group.clear();
    this.group.add(this.drawn.get(mode));
  }

  /** Show these points, instead of the mesh's corners, as the model's points. */
  usePoints(geometry) {
    const points = new Points(geometry, pointMaterial(null, true));
    points.material.clippingPlanes = this.planes;
    this.drawn.set('points', new Group().add(points));
    if (this.mode === 'points') this.show('points');
  }

  /** Keep only what lies on the positive side of `plane`; null shows all. */
  cut(plane) {
    this.planes = plane ? [plane] : [];
    for (const group of this.drawn.values()) {
      for (const child of group.children) {
        child.material.clippingPlanes = this.planes;
        child.material.needsUpdate = true;
      }
    }
  }

  /** The nearest visible point of the surface under the ray, or null. */
  hit(raycaster) {
    const bodies = this.parts.map((part) => part.body);
    const hits = raycaster.intersectObjects(bodies, false);
    const seen = hits.find(({ point }) => this.planes.every((plane) => plane.distanceToPoint(point) >= 0));
    return seen ? seen.point : null;
  }
}

class Part {
  constructor(source) {
    this.geometry = source.geometry;
    this.matrix = source.matrixWorld.clone();
    this.map = source.material.map || null;
    this.colored = Boolean(this.geometry.attributes.color);
    const { index, attributes } = this.geometry;
    this.faces = source.isPoints ? 0 : (index ? index.count : attributes.position.count) / 3;
    this.onlyPoints = Boolean(source.isPoints);
    this.body = this.positioned(this.onlyPoints ? new Points(this.geometry) : new Mesh(this.geometry, new MeshBasicMaterial({ side: DoubleSide })));
    if (this.map) this.map.anisotropy = 4;
  }

  positioned(object) {
    object.matrixAutoUpdate = false;
    object.matrix.copy(this.matrix);
    object.matrixWorld.copy(this.matrix);
    return object;
  }

  drawn(mode, clippingPlanes) {
    const points = this.onlyPoints || mode === 'points';
    const materials = points ? [pointMaterial(this.map, this.colored)] : this.materials(mode);
    return materials.map((material) => {
      material.clippingPlanes = clippingPlanes;
      return this.positioned(points ? new Points(this.geometry, material) : new Mesh(this.geometry, material));
    });
  }

  materials(mode) {
    const side = DoubleSide;
    const grey = 0xc9ccd2;
    if (mode === 'shaded') return [new MeshLambertMaterial({ color: grey, flatShading: true, side })];
    if (mode === 'wireframe') {
      const body = new MeshLambertMaterial({ color: grey, flatShading: true, side, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
      return [body, new MeshBasicMaterial({ color: 0x101418, wireframe: true, transparent: true, opacity: 0.35 })];
    }
    // Photographs carry their own light: the texture is shown as it is.
    return [new MeshBasicMaterial({ map: this.map, vertexColors: this.colored, color: this.map || this.colored ? 0xffffff : grey, side })];
  }
}

function pointMaterial(map, colored) {
  return new ShaderMaterial({
    uniforms: { map: { value: map }, size: { value: 2 * Math.min(window.devicePixelRatio, 2) } },
    defines: { ...(map && { TEXTURED: 1 }), ...(colored && { COLORED: 1 }) },
    clipping: true,
    vertexShader: `
      #include <clipping_planes_pars_vertex>
      uniform float size;
      varying vec3 vTint;
      #ifdef TEXTURED
        uniform sampler2D map;
      #endif
      #ifdef COLORED
        attribute vec3 color;
      #endif
      void main() {
        vTint = vec3(0.75);
        #ifdef COLORED
          vTint = color.rgb;
        #endif
        #ifdef TEXTURED
          vTint = texture2D(map, uv).rgb;
        #endif
        vec4 mvPosition = modelViewMatrix * vec4(position, 1.0);
        gl_Position = projectionMatrix * mvPosition;
        gl_PointSize = size;
        #include <clipping_planes_vertex>
      }`,
    fragmentShader: `
      #include <clipping_planes_pars_fragment>
      varying vec3 vTint;
      void main() {
        #include <clipping_planes_fragment>
        gl_FragColor = vec4(vTint, 1.0);
        #include <colorspace_fragment>
      }`,
  });
}

/** Centre, radius and box of most of the vertices: a few stray ones must not make the model small. */
function focusOf(parts) {
  const axes = [[], [], []];
  const total = sum(parts.map((part) => part.geometry.attributes.position.count));
  const step = Math.max(1, Math.floor(total / SAMPLES));
  const point = new Vector3();
  for (const part of parts) {
    const positions = part.geometry.attributes.position;
    for (let i = 0; i < positions.count; i += step) {
      point.fromBufferAttribute(positions, i).applyMatrix4(part.matrix);
      if (Number.isFinite(point.x + point.y + point.z)) [point.x, point.y, point.z].forEach((value, axis) => axes[axis].push(value));
    }
  }
  const ends = axes.map((values) => {
    values.sort((a, b) => a - b);
    const skip = Math.floor(values.length * OUTLIERS);
    return [values[skip] ?? -1, values[values.length - 1 - skip] ?? 1];
  });
  const low = new Vector3(...ends.map((end) => end[0]));
  const high = new Vector3(...ends.map((end) => end[1]));
  const full = axes.map((values) => [values[0] ?? -1, values[values.length - 1] ?? 1]);
  return { center: low.clone().add(high).multiplyScalar(0.5), radius: low.distanceTo(high) / 2 || 1, full };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

