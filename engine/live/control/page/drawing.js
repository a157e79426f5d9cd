// The preview: before and after with a divider between them, and the faces that can be chosen.

const canvas = document.getElementById("preview");
const context = canvas.getContext("2d");
const divider = document.getElementById("divider");
const note = document.getElementById("no-preview");
const CLICK_PIXELS = 6, NO_PREVIEW = 4404;

export class Preview {
  constructor(onPlace) {
    this.onPlace = onPlace;
    this.faces = [];
    this.share = 0.5;
    this.image = null;
    this.size = [640, 360];
    this.socket = null;
    this.listen();
    this.moveDivider(0.5);
  }

  open() {
    if (this.socket || document.hidden) return;
    const url = new URL("preview", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.socket = new WebSocket(url);
    socket.binaryType = "blob";
    socket.onmessage = message => this.take(message.data);
    socket.onclose = event => {
      if (event.code === NO_PREVIEW) note.textContent = "this channel has no preview";
      else if (this.socket === socket) this.socket = null;
    };
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  async take(data) {
    if (typeof data === "string") {
      this.head = JSON.parse(data);
      return;
    }
    const head = this.head, image = await createImageBitmap(data);
    this.image?.close();
    this.image = image;
    if (canvas.width !== head.width || canvas.height !== head.height) {
      canvas.width = head.width;
      canvas.height = head.height;
    }
    canvas.dataset.frame = head.frame;
    note.hidden = true;
    divider.hidden = false;
    this.draw();
  }

  draw() {
    if (!this.image) return;
    const { width, height } = canvas, at = Math.round(this.share * width);
    context.drawImage(this.image, width, 0, width, height, 0, 0, width, height);
    if (at > 0) context.drawImage(this.image, 0, 0, at, height, 0, 0, at, height);
    context.lineWidth = Math.max(1, width / 400);
    for (const face of this.faces) {
      context.strokeStyle = face.restored ? "#35c46f" : "#f2b33d";
      context.strokeRect(face.x * width, face.y * height, face.width * width, face.height * height);
    }
  }

  moveDivider(share) {
    this.share = Math.min(1, Math.max(0, share));
    const box = this.box();
    divider.style.left = `${box.left + this.share * box.width}px`;
    divider.setAttribute("aria-valuenow", Math.round(100 * this.share));
    this.draw();
  }

  // Where the picture lies inside the canvas, which keeps its shape by bars at its sides.
  box() {
    const scale = Math.min(canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height) || 1;
    const width = canvas.width * scale, height = canvas.height * scale;
    return {
      left: canvas.offsetLeft + (canvas.clientWidth - width) / 2,
      top: canvas.offsetTop + (canvas.clientHeight - height) / 2,
      width, height,
    };
  }

  place(event) {
    const box = this.box(), stage = canvas.parentElement.getBoundingClientRect();
    return [(event.clientX - stage.left - box.left) / box.width, (event.clientY - stage.top - box.top) / box.height];
  }

  listen() {
    let from = null, moved = false;
    canvas.addEventListener("pointerdown", event => {
      from = event;
      moved = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", event => {
      if (!from) return;
      moved ||= Math.abs(event.clientX - from.clientX) > CLICK_PIXELS;
      if (moved) this.moveDivider(this.place(event)[0]);
    });
    canvas.addEventListener("pointerup", event => {
      if (from && !moved) this.choose(...this.place(event));
      from = null;
    });
    canvas.addEventListener("pointercancel", () => { from = null; });
    divider.addEventListener("keydown", event => {
      const step = { ArrowLeft: -0.05, ArrowRight: 0.05 }[event.key];
      if (step) this.moveDivider(this.share + step);
    });
    window.addEventListener("resize", () => this.moveDivider(this.share));
    document.addEventListener("visibilitychange", () => document.hidden ? this.close() : this.open());
  }

  choose(x, y) {
    const hit = this.faces.some(face =>
      x >= face.x && x <= face.x + face.width && y >= face.y && y <= face.y + face.height);
    if (hit) this.onPlace(x, y);
  }
}
