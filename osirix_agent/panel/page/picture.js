// The slice on the canvas: grey values under a window, contours and bands, marks, and what is being drawn.
// Places are (row, column) with integers at pixel centres, as the agent gives and takes them.

const HALO = "rgb(0 0 0 / .6)";
const DASHES = { 5: [7, 5], 25: [4, 3], 75: [3, 3], 95: [2, 3], 0: [10, 3] };
const CLOSE_PX = 4; // screen pixels between two places of a stroke

export class Picture {
  outlines = [];
  marks = [];
  shape = "point";
  include = true;
  bands = true;
  cross = null;
  #slice = null;
  #grey = document.createElement("canvas");
  #zoom = 1;
  #pan = { x: 0, y: 0 };
  #drag = null;
  #corner = null; // first corner of a box placed with the crosshair

  /** @param {{sketch, scroll, windowed, moved}} told */
  constructor(canvas, told) {
    this.canvas = canvas;
    this.told = told;
    this.level = 40;
    this.width = 400;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.stop());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** plane: {spacing, letters}; null shows nothing */
  setSlice(slice, plane) {
    if (this.plane !== plane) this.whole();
    this.#slice = slice;
    this.plane = plane;
    if (this.cross) this.#keepInside();
    this.#shade();
    this.draw();
  }

  setWindow(level, width) {
    this.level = level;
    this.width = Math.max(width, 1e-3);
    this.#shade();
    this.draw();
  }

  whole() {
    this.#zoom = 1;
    this.#pan = { x: 0, y: 0 };
    this.draw();
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const zoom = Math.min(20, Math.max(1, this.#zoom * factor));
    const real = zoom / this.#zoom;
    const middle = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    this.#pan.x = x - middle.x - (x - middle.x - this.#pan.x) * real;
    this.#pan.y = y - middle.y - (y - middle.y - this.#pan.y) * real;
    this.#zoom = zoom;
    if (zoom === 1) this.#pan = { x: 0, y: 0 };
    this.draw();
  }

  stop() {
    this.#drag = this.#corner = null;
    this.draw();
  }

  // -- the crosshair: everything the mouse does, from the keyboard ---------------------------------------------
  toggleCross() {
    if (!this.#slice) return;
    this.cross = this.cross ? null : [Math.floor(this.#slice.rows / 2), Math.floor(this.#slice.columns / 2)];
    this.#corner = null;
    this.draw();
  }

  moveCross(rows, columns) {
    this.cross = [this.cross[0] + rows, this.cross[1] + columns];
    this.#keepInside();
    this.told.moved(this.cross);
    this.draw();
  }

  placeCross() {
    if (this.shape === "point") return this.told.sketch("point", [[...this.cross]], this.include);
    if (!this.#corner) {
      this.#corner = [...this.cross];
      return this.draw();
    }
    const points = [this.#corner, [...this.cross]];
    this.#corner = null;
    this.told.sketch(this.shape, points, this.include);
  }

  #keepInside() {
    const { rows, columns } = this.#slice;
    this.cross = [Math.max(0, Math.min(rows - 1, this.cross[0])), Math.max(0, Math.min(columns - 1, this.cross[1]))];
  }

  // -- mouse and pen -------------------------------------------------------------------------------------------
  #down(event) {
    if (!this.#slice) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const at = [event.offsetX, event.offsetY];
    if (event.button === 2) this.#drag = { how: "window", at, level: this.level, width: this.width };
    else if (event.button === 1) this.#drag = { how: "pan", at, pan: { ...this.#pan } };
    else if (event.button === 0) {
      this.#drag = { how: this.shape, at, include: this.include !== event.shiftKey, points: [this.place(...at)] };
    }
    event.preventDefault();
  }

  #move(event) {
    if (this.#slice) this.told.moved(this.place(event.offsetX, event.offsetY));
    const drag = this.#drag;
    if (!drag) return;
    const [x, y] = [event.offsetX, event.offsetY];
    if (drag.how === "window") {
      const step = Math.max(drag.width, 1e-3) / 300;
      this.told.windowed(drag.level + (y - drag.at[1]) * step, Math.max(step, drag.width + (x - drag.at[0]) * 2 * step));
    } else if (drag.how === "pan") {
      this.#pan = { x: drag.pan.x + x - drag.at[0], y: drag.pan.y + y - drag.at[1] };
    } else if (drag.how === "box") drag.points[1] = this.place(x, y);
    else if (drag.how === "scribble" && Math.hypot(x - drag.at[0], y - drag.at[1]) >= CLOSE_PX) {
      if (drag.points.length < 2000) drag.points.push(this.place(x, y));
      drag.at = [x, y];
    }
    this.draw();
  }

  #up(event) {
    const drag = this.#drag;
    this.#drag = null;
    this.draw();
    if (!drag || drag.how === "window" || drag.how === "pan") return;
    if (drag.how === "scribble") drag.points.push(this.place(event.offsetX, event.offsetY));
    if (drag.how === "box" && drag.points.length < 2) return this.told.refused("Draw the box from corner to corner.");
    this.told.sketch(drag.how, drag.points, drag.include);
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) return this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
    this.told.scroll(Math.sign(event.deltaY));
  }

  // -- where things are ----------------------------------------------------------------------------------------
  #scale() {
    const { rows, columns } = this.#slice;
    const [tall, wide] = this.plane.spacing;
    const fit = Math.min(this.canvas.clientWidth / (columns * wide), this.canvas.clientHeight / (rows * tall));
    const [x, y] = [fit * wide * this.#zoom, fit * tall * this.#zoom];
    return {
      x, y,
      left: this.canvas.clientWidth / 2 + this.#pan.x - (columns * x) / 2,
      top: this.canvas.clientHeight / 2 + this.#pan.y - (rows * y) / 2,
    };
  }

  /** (row, column) under a place of the canvas, CSS pixels */
  place(x, y) {
    const scale = this.#scale();
    return [(y - scale.top) / scale.y - 0.5, (x - scale.left) / scale.x - 0.5];
  }

  /** CSS pixels of the canvas at (row, column) */
  at([row, column], scale = this.#scale()) {
    return [scale.left + (column + 0.5) * scale.x, scale.top + (row + 0.5) * scale.y];
  }

  /** The slice in the viewport: its upper left corner, its size, the box of what is seen of it; null: none is. */
  extent() {
    if (!this.#slice || !this.canvas.clientWidth) return null;
    const { plane, index, rows, columns } = this.#slice;
    const [scale, edge] = [this.#scale(), this.canvas.getBoundingClientRect()];
    const corner = [edge.left + scale.left, edge.top + scale.top];
    const size = [columns * scale.x, rows * scale.y];
    const box = [
      Math.max(corner[0], edge.left, 0), Math.max(corner[1], edge.top, 0),
      Math.min(corner[0] + size[0], edge.right, innerWidth), Math.min(corner[1] + size[1], edge.bottom, innerHeight),
    ];
    return { plane, index, corner, size, box };
  }

  // -- drawing -------------------------------------------------------------------------------------------------
  #shade() {
    if (!this.#slice) return;
    const { rows, columns, values } = this.#slice;
    this.#grey.width = columns;
    this.#grey.height = rows;
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const [low, step] = [this.level - this.width / 2, 255 / this.width];
    for (let n = 0; n < values.length; n++) {
      const grey = Math.max(0, Math.min(255, (values[n] - low) * step)) | 0;
      pixels[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    this.#grey.getContext("2d").putImageData(image, 0, 0);
  }

  draw() {
    const { canvas } = this;
    const sharp = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * sharp), Math.round(canvas.clientHeight * sharp)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!this.#slice || !canvas.clientWidth) return;
    const scale = this.#scale();
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.#grey, scale.left, scale.top, this.#slice.columns * scale.x, this.#slice.rows * scale.y);
    pen.lineJoin = "round";
    for (const outline of this.outlines) if (outline.level !== 50) this.#outline(pen, outline, scale);
    for (const outline of this.outlines) if (outline.level === 50) this.#outline(pen, outline, scale);
    for (const mark of this.marks) this.#mark(pen, mark.kind, mark.points, mark.include, scale);
    if (this.#drag?.points) this.#mark(pen, this.#drag.how, this.#drag.points, this.#drag.include, scale);
    if (this.cross) this.#crosshair(pen, scale);
    this.#letters(pen);
  }

  #outline(pen, { rings, level, colour }, scale) {
    const path = new Path2D();
    for (const ring of rings) path.addPath(line(ring, (p) => this.at(p, scale), true));
    pen.setLineDash(DASHES[level] ?? []);
    stroke(pen, path, HALO, level === 50 ? 5 : 3.5);
    stroke(pen, path, `rgb(${colour})`, level === 50 ? 2.5 : 1.6);
    pen.setLineDash([]);
  }

  #mark(pen, kind, points, include, scale) {
    const path = new Path2D();
    if (kind === "point") {
      const [x, y] = this.at(points[0], scale);
      path.arc(x, y, 8, 0, 7);
      path.moveTo(x - 4.5, y);
      path.lineTo(x + 4.5, y);
      if (include) {
        path.moveTo(x, y - 4.5);
        path.lineTo(x, y + 4.5);
      }
    } else {
      const corners = kind === "box" && points.length === 2 ? box(points) : points;
      path.addPath(line(corners, (p) => this.at(p, scale), kind !== "scribble"));
      if (!include || kind === "scribble") { // a sign at the start, as for points
        const [x, y] = this.at(corners[0], scale);
        path.moveTo(x - 12, y - 10);
        path.lineTo(x - 4, y - 10);
        if (include) {
          path.moveTo(x - 8, y - 14);
          path.lineTo(x - 8, y - 6);
        }
      }
    }
    pen.setLineDash(kind === "box" || kind === "lasso" || kind === "mask" ? [6, 4] : []);
    stroke(pen, path, HALO, 4.5);
    stroke(pen, path, include ? "#ffffff" : "#ffb38a", 2);
    pen.setLineDash([]);
  }

  #crosshair(pen, scale) {
    const [x, y] = this.at(this.cross, scale);
    const path = new Path2D(`M0 ${y}H${x - 10}M${x + 10} ${y}H${this.canvas.clientWidth}M${x} 0V${y - 10}M${x} ${y + 10}V${this.canvas.clientHeight}`);
    stroke(pen, path, HALO, 3);
    stroke(pen, path, "#f0e442", 1);
    if (this.#corner) this.#mark(pen, "box", [this.#corner, this.cross], this.include, scale);
  }

  #letters(pen) {
    const [wide, tall] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [up, right, down, left] = this.plane.letters;
    pen.font = "600 15px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const [letter, x, y] of [[up, wide / 2, 14], [right, wide - 14, tall / 2], [down, wide / 2, tall - 14], [left, 14, tall / 2]]) {
      pen.strokeStyle = "#000";
      pen.lineWidth = 3;
      pen.strokeText(letter, x, y);
      pen.fillStyle = "#d8d8de";
      pen.fillText(letter, x, y);
    }
  }
}

function line(points, at, closed) {
  const path = new Path2D();
  points.forEach((point, n) => (n ? path.lineTo(...at(point)) : path.moveTo(...at(point))));
  if (closed) path.closePath();
  return path;
}

function box([[top, left], [bottom, right]]) {
  return [[top, left], [top, right], [bottom, right], [bottom, left]];
}

function stroke(pen, path, style, width) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.stroke(path);
}
