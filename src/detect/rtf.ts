/** Rich text (RTF 1.9): its text with escapes undone, and the compressed form that Outlook writes ([MS-OXRTFCP]). */

/** The text without control words and groups: good enough to find addresses in. */
export function rtfText(source: string): string {
  return source
    .replace(/\\'([0-9a-fA-F]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    .replace(/\\u(-?\d{1,5}) ?\??/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 10) & 0xffff),
    )
    .replace(/\\(?:par|line|tab|cell|row|field|fldinst|fldrslt)\b ?/g, '\n')
    .replace(/\\[a-z]{1,32}-?\d{0,10} ?/gi, '')
    .replace(/[{}]/g, '')
    .replace(/\\([\\~_-])/g, '$1');
}

const DICTIONARY =
  '{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx';
const COMPRESSED = 0x75465a4c;
const RAW_MAX = 16 * 1024 * 1024;

/** What was compressed, as latin1. @throws RangeError where the bytes are cut off or too many come out. */
export function uncompressedRtf(bytes: Buffer): string {
  const rawSize = bytes.readUInt32LE(4);
  if (rawSize > RAW_MAX) throw new RangeError('too large');
  if (bytes.readUInt32LE(8) !== COMPRESSED) return bytes.toString('latin1', 16);
  const ring = Buffer.alloc(4096);
  let write = ring.write(DICTIONARY, 'latin1');
  const out = Buffer.alloc(rawSize);
  let size = 0;
  const put = (byte: number): void => {
    ring[write] = byte;
    write = (write + 1) & 0xfff;
    if (size < rawSize) out[size++] = byte;
  };
  let at = 16;
  while (at < bytes.length && size < rawSize) {
    const control = bytes.readUInt8(at++);
    for (let bit = 0; bit < 8 && size < rawSize && at < bytes.length; bit++) {
      if ((control & (1 << bit)) === 0) {
        put(bytes.readUInt8(at++));
        continue;
      }
      const reference = bytes.readUInt16BE(at);
      at += 2;
      let from = reference >> 4;
      if (from === write) return out.toString('latin1', 0, size);
      for (let left = (reference & 0xf) + 2; left > 0; left--) {
        put(ring[from] ?? 0);
        from = (from + 1) & 0xfff;
      }
    }
  }
  return out.toString('latin1', 0, size);
}
