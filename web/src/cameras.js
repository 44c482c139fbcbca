// Camera frusta: lines to see, pyramids to click, and the chosen photo on its image plane.
import {
  BufferAttribute, BufferGeometry, DoubleSide, Group, LineBasicMaterial, LineSegments, Mesh, MeshBasicMaterial, SRGBColorSpace, TextureLoader, Vector3,
} from 'three';

const QUIET = 0x6aa9ff;
const CHOSEN = 0xff9d3c;

export class Cameras {
  /** `cameras`: [{name, center, corners: four world vectors to the image corners at depth 1, forward, fov_y_deg, photo}] */
  constructor(cameras, size) {
    this.list = cameras;
    this.size = size;
    this.group = new Group();
    this.group.visible = false;
    this.bodies = [];
    this.chosen = -1;
    const material = new LineBasicMaterial({ color: QUIET });
    for (let i = 0; i < cameras.length; i++) {
      const lines = new LineSegments(frustum(cameras[i], size), material);
      const body = new Mesh(pyramid(cameras[i], size), new MeshBasicMaterial({ side: DoubleSide }));
      body.userData.camera = i;
      this.bodies.push(body);
      this.group.add(lines);
    }
    this.quiet = material;
    this.loud = new LineBasicMaterial({ color: CHOSEN });
  }

  /** Index of the camera under the ray, or -1. */
  hit(raycaster) {
    if (!this.group.visible) return -1;
    const [first] = raycaster.intersectObjects(this.bodies, false);
    return first ? first.object.userData.camera : -1;
  }

  choose(index, onReady) {
    if (this.screen) {
      this.group.remove(this.screen);
      this.screen.material.map?.dispose();
      this.screen.material.dispose();
      this.screen = null;
    }
    this.group.children.forEach((lines, i) => { lines.material = i === index ? this.loud : this.quiet; });
    this.chosen = index;
    if (index < 0 || !this.list[index].photo) return;
    const screen = new Mesh(screenOf(this.list[index], this.size), new MeshBasicMaterial({ side: DoubleSide, transparent: true, opacity: 0.9 }));
    screen.visible = false;
    this.group.add(screen);
    this.screen = screen;
    new TextureLoader().load(this.list[index].photo, (texture) => {
      if (this.screen !== screen) return texture.dispose();
      texture.colorSpace = SRGBColorSpace;
      screen.material.map = texture;
      screen.visible = true;
      return onReady();
    });
  }

  /** Radius of the sphere about `center` that holds all cameras. */
  reach(center) {
    return Math.max(...this.list.map((camera) => new Vector3(...camera.center).distanceTo(center))) + this.size;
  }

  /** The view of camera `index`, looking at what lies `depth` in front of it. */
  viewOf(index, depth) {
    const camera = this.list[index];
    const eye = new Vector3(...camera.center);
    const target = new Vector3(...camera.forward).multiplyScalar(depth).add(eye);
    return { eye, target, fov: camera.fov_y_deg };
  }
}

function points(camera, size) {
  const center = new Vector3(...camera.center);
  const corners = camera.corners.map((corner) => new Vector3(...corner).multiplyScalar(size).add(center));
  return [center, ...corners];
}

function geometry(vertices) {
  const flat = new Float32Array(vertices.flatMap((vertex) => [vertex.x, vertex.y, vertex.z]));
  return new BufferGeometry().setAttribute('position', new BufferAttribute(flat, 3));
}

function frustum(camera, size) {
  const [o, a, b, c, d] = points(camera, size);
  const tip = a.clone().add(b).multiplyScalar(0.5).addScaledVector(a.clone().sub(d), 0.25); // which side is up
  return geometry([o, a, o, b, o, c, o, d, a, b, b, c, c, d, d, a, a, tip, tip, b]);
}

function pyramid(camera, size) {
  const [o, a, b, c, d] = points(camera, size);
  return geometry([o, a, b, o, b, c, o, c, d, o, d, a, a, b, c, a, c, d]);
}

function screenOf(camera, size) {
  const [, a, b, c, d] = points(camera, size);
  const result = geometry([a, d, c, a, c, b]);
  const uv = new Float32Array([0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1]);
  return result.setAttribute('uv', new BufferAttribute(uv, 2));
}
