// Two points and the distance between them, in metres once the scale is known.
import { BufferAttribute, BufferGeometry, Group, LineBasicMaterial, LineSegments, Mesh, MeshBasicMaterial, SphereGeometry, Vector3 } from 'three';

const COLOR = 0xff9d3c;
const UNITS = { mm: 0.001, cm: 0.01, m: 1, km: 1000, in: 0.0254, ft: 0.3048 };

export class Measure {
  constructor(stage, overlay, metresPerUnit) {
    this.stage = stage;
    this.metresPerUnit = metresPerUnit;
    this.points = [];
    this.group = new Group();
    stage.scene.add(this.group);
    this.label = document.createElement('div');
    this.label.className = 'label hidden';
    overlay.append(this.label);
    stage.beforeDraw.push(() => this.follow());
  }

  add(point) {
    if (this.points.length === 2) this.clear();
    this.points.push(point.clone());
    const material = new MeshBasicMaterial({ color: COLOR, depthTest: false, transparent: true });
    const ball = new Mesh(new SphereGeometry(1, 16, 12), material);
    ball.position.copy(point);
    ball.renderOrder = 2;
    this.group.add(ball);
    if (this.points.length === 2) {
      const ends = new Float32Array(this.points.flatMap((end) => [end.x, end.y, end.z]));
      const shape = new BufferGeometry().setAttribute('position', new BufferAttribute(ends, 3));
      const line = new LineSegments(shape, new LineBasicMaterial({ color: COLOR, depthTest: false, transparent: true }));
      line.renderOrder = 1;
      this.group.add(line);
    }
    this.stage.redraw();
  }

  clear() {
    this.points = [];
    this.group.clear();
    this.label.classList.add('hidden');
    this.stage.redraw();
  }

  /** Distance in model units, or null while there are no two points. */
  get units() {
    return this.points.length === 2 ? this.points[0].distanceTo(this.points[1]) : null;
  }

  get text() {
    return this.units === null ? '' : formatLength(this.units, this.metresPerUnit);
  }

  /** Take `text` ("120 mm") as the true length of the measured line. Returns whether it is a length. */
  setReal(text) {
    const metres = parseLength(text);
    if (metres === null || !this.units) return false;
    this.metresPerUnit = metres / this.units;
    this.stage.redraw();
    return true;
  }

  follow() {
    const { camera, canvas } = this.stage;
    for (const child of this.group.children) {
      if (!child.isMesh) continue; // the same size on screen from near and far
      const away = child.position.distanceTo(camera.position);
      child.scale.setScalar(away * Math.tan((camera.fov * Math.PI) / 360) * 0.012);
    }
    if (this.units === null) return;
    const middle = new Vector3().addVectors(this.points[0], this.points[1]).multiplyScalar(0.5).project(camera);
    this.label.textContent = this.text;
    this.label.classList.toggle('hidden', middle.z > 1);
    this.label.style.left = `${((middle.x + 1) / 2) * canvas.clientWidth}px`;
    this.label.style.top = `${((1 - middle.y) / 2) * canvas.clientHeight}px`;
  }
}

/** "12.5 cm" to metres; a bare number is metres. Null for anything else or for nothing. */
export function parseLength(text) {
  const match = /^\s*([0-9]+(?:[.,][0-9]+)?)\s*(mm|cm|m|km|in|ft)?\s*$/i.exec(text);
  if (!match) return null;
  const metres = Number(match[1].replace(',', '.')) * UNITS[(match[2] || 'm').toLowerCase()];
  return metres > 0 ? metres : null;
}

export function formatLength(units, metresPerUnit) {
  if (!metresPerUnit) return `${units.toPrecision(4)} units`;
  const metres = units * metresPerUnit;
  if (metres < 0.1) return `${(metres * 1000).toPrecision(4)} mm`;
  if (metres < 1) return `${(metres * 100).toPrecision(4)} cm`;
  return `${metres.toPrecision(4)} m`;
}
