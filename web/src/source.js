// Where the page takes its data from: the server beside it, or the page itself (single file).

/** The facts of the result: title, cameras, scale. */
export async function readScene() {
  const inline = document.getElementById('scene-data');
  if (inline) return JSON.parse(inline.textContent);
  const answer = await fetch('scene.json');
  if (!answer.ok) throw new Error(`scene.json: ${answer.status}`);
  return answer.json();
}

/** The bytes of the model, an ArrayBuffer. `onShare` hears the share that has arrived, 0 to 1. */
export async function readModel(onShare) {
  const inline = document.getElementById('model-data');
  if (inline) {
    const bytes = decodeBase64(inline.textContent);
    inline.remove(); // a large text: give its memory back
    return bytes;
  }
  const answer = await fetch('model.glb');
  if (!answer.ok) throw new Error(`model.glb: ${answer.status}`);
  return collect(answer, onShare);
}

/** The bytes of the thinned dense cloud, an ArrayBuffer. */
export async function readCloud() {
  const inline = document.getElementById('cloud-data');
  if (inline) return decodeBase64(inline.textContent);
  const answer = await fetch('cloud.bin');
  if (!answer.ok) throw new Error(`cloud.bin: ${answer.status}`);
  return answer.arrayBuffer();
}

async function collect(answer, onShare) {
  const length = Number(answer.headers.get('Content-Length'));
  if (!length) return answer.arrayBuffer();
  const bytes = new Uint8Array(length);
  const reader = answer.body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes.set(value, at);
    at += value.length;
    onShare(at / length);
  }
  return bytes.buffer;
}

function decodeBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}
