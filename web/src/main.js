// Put the page together: load, show, and connect the buttons.
import { Matrix3, Raycaster, Vector2, Vector3 } from 'three';
import { Cameras } from './cameras.js';
import { Clip } from './clip.js';
import { cloudGeometry } from './cloud.js';
import { Measure } from './measure.js';
import { MODES, parseModel } from './model.js';
import { readCloud, readModel, readScene } from './source.js';
import { Stage } from './stage.js';

const $ = (id) => document.getElementById(id);
const REFINE_AFTER_MS = 150; // let the first frame reach the screen
const MIN_CONVERGENCE = 0.12;
const SUBJECT_SHARE = 0.45; // of the distance from which most photos were taken
const CLICK_PX = 5; // a press that moves less than this is a click, not a drag

class Page {
  constructor(scene, model, stage) {
    Object.assign(this, { scene, model, stage });
    const list = scene.cameras || [];
    this.cameras = new Cameras(list, model.focus.radius * 0.09);
    this.measure = new Measure(stage, $('overlay'), scene.metres_per_unit || null);
    this.clip = new Clip(model, stage);
    this.raycaster = new Raycaster();
    stage.scene.add(model.group, this.cameras.group);
    $('title').textContent = scene.title;
    $('facts').textContent = facts(model, list.length);
    $('cameras').disabled = !list.length;
    if (!model.faces) for (const mode of MODES.slice(1, 3)) document.querySelector(`[data-mode=${mode}]`).disabled = true;
    const { center, radius } = subject(list, model.focus);
    stage.frameSphere(center, radius, firstDirection(list, center));
    this.connectButtons();
    this.connectPanels();
    this.connectPointer();
    this.connectKeys();
    this.setMode('textured');
  }

  setMode(mode) {
    this.model.show(mode);
    for (const button of document.querySelectorAll('[data-mode]')) {
      button.setAttribute('aria-checked', String(button.dataset.mode === mode));
    }
    if (mode === 'points' && this.scene.cloud && !this.cloud) this.cloud = this.loadCloud();
    this.stage.redraw();
  }

  /** The corners of the mesh are shown until the dense cloud is there, and in its place if it is broken. */
  async loadCloud() {
    try {
      this.model.usePoints(cloudGeometry(this.scene.cloud, await readCloud()));
    } catch (error) {
      console.warn(error);
    }
    document.documentElement.dataset.cloud = 'ready';
    this.stage.redraw();
  }

  connectButtons() {
    for (const button of document.querySelectorAll('[data-mode]')) {
      button.addEventListener('click', () => this.setMode(button.dataset.mode));
    }
    $('cameras').addEventListener('click', () => {
      this.cameras.group.visible = toggle('cameras');
      if (!this.cameras.group.visible) this.choose(-1);
      else this.stage.showSphere(this.cameras.reach(this.model.focus.center));
      this.stage.redraw();
    });
    $('measure').addEventListener('click', () => {
      const on = toggle('measure');
      document.body.classList.toggle('measuring', on);
      $('measure-panel').classList.toggle('hidden', !on);
      this.measure.clear();
      this.tellDistance();
    });
    $('clip').addEventListener('click', () => {
      this.clip.on = toggle('clip');
      $('clip-panel').classList.toggle('hidden', !this.clip.on);
      this.clip.apply();
    });
    $('home').addEventListener('click', () => this.stage.fly(this.stage.first));
    $('shot').addEventListener('click', () => this.savePicture());
    $('full').addEventListener('click', () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else document.documentElement.requestFullscreen?.().catch(() => {});
    });
    $('theme').addEventListener('click', () => setTheme(document.documentElement.dataset.theme === 'light' ? 'dark' : 'light', this.stage));
  }

  connectPanels() {
    const axes = [...document.querySelectorAll('[data-axis]')];
    const setAxis = (axis) => {
      this.clip.axis = axis;
      axes.forEach((button) => button.setAttribute('aria-checked', String(Number(button.dataset.axis) === axis)));
      this.clip.apply();
    };
    for (const button of axes) button.addEventListener('click', () => setAxis(Number(button.dataset.axis)));
    setAxis(0);
    $('clip-at').addEventListener('input', (event) => {
      this.clip.share = event.target.value / 1000;
      this.clip.apply();
    });
    $('clip-flip').addEventListener('click', () => {
      this.clip.sign *= -1;
      this.clip.apply();
    });
    $('scale-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const understood = this.measure.setReal($('real').value);
      $('real').setCustomValidity(understood ? '' : 'A length such as 120 mm');
      $('real').reportValidity();
      this.tellDistance();
    });
    $('real').addEventListener('input', () => $('real').setCustomValidity(''));
    const step = (by) => this.choose((this.cameras.chosen + by + this.cameras.list.length) % this.cameras.list.length);
    $('photo-previous').addEventListener('click', () => step(-1));
    $('photo-next').addEventListener('click', () => step(1));
    $('photo-close').addEventListener('click', () => this.choose(-1));
    $('photo-through').addEventListener('click', () => {
      const { chosen } = this.cameras;
      const depth = new Vector3(...this.cameras.list[chosen].center).distanceTo(this.model.focus.center);
      this.stage.fly(this.cameras.viewOf(chosen, depth));
    });
  }

  connectPointer() {
    const { canvas } = this.stage;
    let pressed = null;
    canvas.addEventListener('pointerdown', (event) => {
      pressed = event.isPrimary && event.button === 0 ? { x: event.clientX, y: event.clientY } : null;
    });
    canvas.addEventListener('pointerup', (event) => {
      if (pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < CLICK_PX) this.click(event);
      pressed = null;
    });
    canvas.addEventListener('dblclick', (event) => {
      const point = this.aim(event) && this.model.hit(this.raycaster);
      if (point) this.stage.fly({ eye: this.stage.camera.position.clone(), target: point, fov: this.stage.camera.fov });
    });
  }

  aim(event) {
    const { canvas, camera } = this.stage;
    const box = canvas.getBoundingClientRect();
    const at = new Vector2(((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2);
    this.raycaster.setFromCamera(at, camera);
    return true;
  }

  click(event) {
    this.aim(event);
    if (document.body.classList.contains('measuring')) {
      const point = this.model.hit(this.raycaster);
      if (point) this.measure.add(point);
      this.tellDistance();
      return;
    }
    const index = this.cameras.hit(this.raycaster);
    if (index >= 0) this.choose(index);
  }

  tellDistance() {
    const { units, text, points } = this.measure;
    $('distance').textContent = text || (points.length ? 'Click the second point' : 'Click two points of the model');
    $('scale-form').classList.toggle('hidden', units === null);
  }

  choose(index) {
    this.cameras.choose(index, () => this.stage.redraw());
    $('photo').classList.toggle('hidden', index < 0);
    if (index >= 0) {
      const { name, photo } = this.cameras.list[index];
      $('photo-name').textContent = name;
      $('photo-image').classList.toggle('hidden', !photo);
      if (photo) $('photo-image').src = photo;
      else $('photo-image').removeAttribute('src');
      $('photo-image').alt = name;
    }
    this.stage.redraw();
  }

  async savePicture() {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await this.stage.picture());
    link.download = 'model.png';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  connectKeys() {
    const buttons = { c: 'cameras', m: 'measure', x: 'clip', h: 'home', s: 'shot', f: 'full', t: 'theme' };
    document.addEventListener('keydown', (event) => {
      if (event.target.tagName === 'INPUT' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Escape') this.choose(-1);
      const mode = MODES[Number(event.key) - 1];
      if (mode && !document.querySelector(`[data-mode=${mode}]`).disabled) this.setMode(mode);
      const id = buttons[event.key.toLowerCase()];
      if (id) $(id).click();
    });
  }
}

function toggle(id) {
  const on = $(id).getAttribute('aria-pressed') !== 'true';
  $(id).setAttribute('aria-pressed', String(on));
  return on;
}

function facts(model, cameras) {
  const number = new Intl.NumberFormat('en');
  const words = model.faces ? [`${number.format(model.faces)} faces`] : [`${number.format(model.vertices)} points`];
  if (cameras) words.push(`${number.format(cameras)} photos`);
  return words.join(' · ');
}

/** What the photos are of: where the cameras' axes meet, if they do; else the whole model. */
function subject(cameras, focus) {
  const normal = new Matrix3().set(0, 0, 0, 0, 0, 0, 0, 0, 0);
  const right = new Vector3();
  for (const camera of cameras) {
    const d = new Vector3(...camera.forward).normalize();
    const c = new Vector3(...camera.center);
    const across = new Matrix3().set(
      1 - d.x * d.x, -d.x * d.y, -d.x * d.z, -d.x * d.y, 1 - d.y * d.y, -d.y * d.z, -d.x * d.z, -d.y * d.z, 1 - d.z * d.z,
    );
    across.elements.forEach((value, i) => { normal.elements[i] += value / cameras.length; });
    right.addScaledVector(c.applyMatrix3(across), 1 / cameras.length);
  }
  // The determinant is a quarter for a ring of level cameras, next to nothing for photos that all look the same way.
  if (cameras.length < 3 || normal.determinant() < MIN_CONVERGENCE) return focus;
  const center = right.applyMatrix3(normal.invert());
  const away = cameras.map((camera) => center.distanceTo(new Vector3(...camera.center))).sort((a, b) => a - b);
  const radius = Math.min(focus.radius, away[away.length >> 1] * SUBJECT_SHARE);
  return center.distanceTo(focus.center) < focus.radius ? { center, radius } : focus;
}

/** Look from where most photos were taken; a facade is nothing from behind. */
function firstDirection(cameras, center) {
  const mean = new Vector3();
  for (const camera of cameras) mean.add(new Vector3(...camera.center).sub(center).normalize());
  mean.divideScalar(Math.max(cameras.length, 1));
  mean.y = Math.max(mean.y, 0.15);
  return Math.hypot(mean.x, mean.z) > 0.3 ? mean : new Vector3(0.55, 0.4, 1);
}

function setTheme(theme, stage) {
  document.documentElement.dataset.theme = theme;
  const back = getComputedStyle(document.documentElement).getPropertyValue('--back').trim();
  stage?.renderer.setClearColor(back, 1);
  stage?.redraw();
}

function fail(error) {
  console.error(error);
  $('status').className = 'failed';
  $('status-text').textContent = `The model cannot be shown: ${error.message}`;
  document.documentElement.dataset.state = 'failed';
}

async function start() {
  setTheme(window.matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark');
  const describing = readScene();
  const bytes = await readModel((share) => { $('bar').value = share; });
  const parsing = parseModel(bytes); // pictures are decoded beside the set-up of the canvas
  parsing.catch(() => {}); // heard below
  const stage = new Stage($('canvas'));
  setTheme(document.documentElement.dataset.theme, stage);
  stage.warmUp();
  performance.mark('canvas');
  const model = await parsing;
  performance.mark('parsed');
  const scene = await describing;
  document.title = scene.title;
  const page = new Page(scene, model, stage);
  performance.mark('page');
  stage.draw();
  stage.renderer.getContext().finish();
  performance.mark('drawn');
  $('status').className = 'done';
  const root = document.documentElement;
  root.dataset.state = 'ready';
  root.dataset.firstFrameMs = String(Math.round(performance.now()));
  window.insaat = page; // for scripts and tests
  setTimeout(async () => {
    if (await model.refine().catch(() => false)) stage.redraw(); // a small texture is one, too
    root.dataset.state = 'refined';
  }, REFINE_AFTER_MS);
}

start().catch(fail);
