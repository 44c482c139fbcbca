// The canvas: renderer, camera, controls. Draws only when something changed.
import {
  DataTexture, DirectionalLight, DoubleSide, HemisphereLight, Mesh, MeshBasicMaterial, PerspectiveCamera, PlaneGeometry, Scene, SRGBColorSpace, Vector3, WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';

const FLIGHT_MS = 500;
const DEFAULT_FOV = 45;

export class Stage {
  constructor(canvas) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, powerPreference: 'high-performance' });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.localClippingEnabled = true;
    this.canvas = canvas;
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(DEFAULT_FOV, 1, 0.01, 1000);
    this.scene.add(this.camera, new HemisphereLight(0xffffff, 0x777788, 1.6));
    const lamp = new DirectionalLight(0xffffff, 1.8); // rides on the camera: what is seen is lit
    lamp.position.set(-0.4, 0.6, 1);
    this.camera.add(lamp);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = true;
    this.controls.dampingFactor = 0.12;
    this.controls.zoomToCursor = true;
    this.controls.listenToKeyEvents(canvas);
    this.controls.addEventListener('change', () => this.redraw());
    this.center = new Vector3();
    this.radius = 1;
    this.frames = 0;
    this.beforeDraw = []; // what keeps its size or place on the screen
    this.flight = null;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  /** Let the driver compile the usual program while the model is still being decoded. */
  warmUp() {
    const map = new DataTexture(new Uint8Array([0, 0, 0, 0]), 1, 1);
    map.colorSpace = SRGBColorSpace;
    map.needsUpdate = true;
    const sample = new Mesh(new PlaneGeometry(1e-6, 1e-6), new MeshBasicMaterial({ map, side: DoubleSide }));
    sample.frustumCulled = false;
    this.scene.add(sample);
    this.renderer.render(this.scene, this.camera);
    this.scene.remove(sample);
    sample.geometry.dispose();
    map.dispose();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.redraw();
  }

  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.pending = false;
    if (this.flight) this.advance(now);
    this.controls.update(); // damping asks for the next frame by itself
    this.draw();
  }

  draw() {
    const away = this.camera.position.distanceTo(this.center);
    this.camera.near = Math.max(away - 4 * this.radius, away * 0.004, this.radius * 0.0005);
    this.camera.far = away + 12 * this.radius;
    this.camera.updateProjectionMatrix();
    for (const listener of this.beforeDraw) listener();
    this.renderer.render(this.scene, this.camera);
    this.frames += 1;
  }

  /** Choose the first view: all of the sphere, seen along `from` (a direction towards the eye). */
  frameSphere(center, radius, from) {
    this.center.copy(center);
    this.radius = radius;
    const away = this.distanceFor(radius);
    const eye = from.clone().normalize().multiplyScalar(away).add(center);
    this.first = { eye, target: center.clone(), fov: DEFAULT_FOV };
    this.controls.maxDistance = radius * 20;
    this.controls.minDistance = radius * 0.005;
    this.place(this.first);
  }

  /** How far to stand back to see a sphere of `radius`. */
  distanceFor(radius) {
    const halfAngle = Math.min(this.camera.fov, this.camera.fov * this.camera.aspect) / 2;
    return (radius / Math.sin((halfAngle * Math.PI) / 180)) * 0.95;
  }

  /** Step back, if need be, until a sphere of `radius` about the model fits. */
  showSphere(radius) {
    const { target } = this.controls;
    const back = this.camera.position.clone().sub(target);
    if (back.length() >= this.distanceFor(radius)) return;
    this.fly({ eye: back.setLength(this.distanceFor(radius)).add(target), target: target.clone(), fov: this.camera.fov });
  }

  place({ eye, target, fov }) {
    this.camera.position.copy(eye);
    this.controls.target.copy(target);
    this.camera.fov = fov;
    this.controls.update();
    this.redraw();
  }

  fly(to) {
    if (window.matchMedia('(prefers-reduced-motion: reduce)').matches) return this.place(to);
    const from = { eye: this.camera.position.clone(), target: this.controls.target.clone(), fov: this.camera.fov };
    this.flight = { from, to, start: performance.now() };
    return this.redraw();
  }

  advance(now) {
    const { from, to, start } = this.flight;
    const share = Math.min(Math.max((now - start) / FLIGHT_MS, 0), 1);
    const eased = share * share * (3 - 2 * share);
    this.camera.position.lerpVectors(from.eye, to.eye, eased);
    this.controls.target.lerpVectors(from.target, to.target, eased);
    this.camera.fov = from.fov + (to.fov - from.fov) * eased;
    if (share === 1) this.flight = null;
    this.redraw();
  }

  /** A PNG of what is drawn now; read in the same task as the drawing, or the buffer is gone. */
  picture() {
    this.draw();
    return new Promise((resolve) => this.canvas.toBlob(resolve, 'image/png'));
  }
}
