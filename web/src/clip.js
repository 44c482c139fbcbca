// A plane that cuts the model open along one axis.
import { Plane, Vector3 } from 'three';

export class Clip {
  constructor(model, stage) {
    this.model = model;
    this.stage = stage;
    this.axis = 0;
    this.share = 0.5;
    this.sign = -1;
    this.on = false;
  }

  apply() {
    if (this.on) {
      const [low, high] = this.model.focus.full[this.axis];
      const normal = new Vector3().setComponent(this.axis, this.sign);
      const at = low + (high - low) * this.share;
      this.model.cut(new Plane(normal, -this.sign * at));
    } else {
      this.model.cut(null);
    }
    this.stage.redraw();
  }
}
