/**
 * Reads and writes 8-bit grey PNG by itself (PNG specification, third edition): a canvas would pass class indices
 * through colours, and browsers that guard against fingerprinting change what is read back from it.
 */

import { LabelMap } from "./labelmap";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const CRC = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

async function piped(bytes: Uint8Array, stream: CompressionStream | DecompressionStream): Promise<Uint8Array> {
  const body = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(body).arrayBuffer());
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

export async function encodeGrey(data: Uint8Array, width: number, height: number): Promise<Blob> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits; colour type, compression, filter and interlace stay 0
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = await piped(rows, new CompressionStream("deflate"));
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", new Uint8Array())];
  return new Blob(parts as Uint8Array<ArrayBuffer>[], { type: "image/png" });
}

/** Throws Error where the bytes are no 8-bit grey PNG without interlacing. */
export async function decodeGrey(buffer: ArrayBuffer): Promise<LabelMap> {
  const bytes = new Uint8Array(buffer);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("the mask is no PNG; reload the page");
  const view = new DataView(buffer);
  let [width, height] = [0, 0];
  const packed: Uint8Array[] = [];
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      const [bits, colour, interlace] = [bytes[at + 16], bytes[at + 17], bytes[at + 20]];
      if (bits !== 8 || colour !== 0 || interlace !== 0)
        throw new Error(`the mask is PNG of colour type ${colour} with ${bits} bits; 8-bit grey was expected`);
    } else if (name === "IDAT") packed.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const whole = new Uint8Array(await new Blob(packed as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const rows = await piped(whole, new DecompressionStream("deflate"));
  return new LabelMap(width, height, unfiltered(rows, width, height));
}

function unfiltered(rows: Uint8Array, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const source = y * (width + 1) + 1;
    const target = y * width;
    const filter = rows[source - 1];
    if (filter === 0) {
      out.set(rows.subarray(source, source + width), target);
      continue;
    }
    for (let x = 0; x < width; x++) {
      const left = x > 0 ? out[target + x - 1]! : 0;
      const up = y > 0 ? out[target + x - width]! : 0;
      const corner = x > 0 && y > 0 ? out[target + x - width - 1]! : 0;
      out[target + x] = rows[source + x]! + predicted(filter!, left, up, corner);
    }
  }
  return out;
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
