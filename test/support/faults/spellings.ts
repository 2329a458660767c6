/** Finds an address however it is spelled. Written against the standards alone: it shares nothing with what it tests. */

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function undoQuotedPrintable(text: string): string {
  return text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
}

function undoPercent(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Every run of base64 characters, decoded; lines of a base64 body are one run. */
function undoBase64(text: string): string {
  const runs = text.match(/[A-Za-z0-9+/_-]{8,}={0,2}(?:\r\n[A-Za-z0-9+/]{4,}={0,2})*/g) ?? [];
  return runs
    .flatMap((run) => [
      run.replace(/\r\n/g, ''),
      ...run.split('\r\n'),
      // A run that begins with letters of a URL or a name.
      ...run.split(/[/_-]/),
    ])
    .map((run) => latin1(Buffer.from(run, 'base64url')))
    .join('\n');
}

/** The readings of a message in which an address may stand. */
export function readingsOf(content: Uint8Array): readonly string[] {
  const raw = latin1(content);
  const unfolded = raw.replace(/\?=\r?\n?[ \t]+=\?/g, '?==?');
  const words = unfolded.replace(/=\?[^?]*\?Q\?([^?]*)\?=/gi, (_, text: string) =>
    undoQuotedPrintable(text.replaceAll('_', ' ')),
  );
  const joinedWords = unfolded
    .replace(/\?==\?[^?]*\?B\?/gi, '')
    .replace(/=\?[^?]*\?B\?([^?]*)\?=/gi, (_, text: string) => latin1(Buffer.from(text, 'base64')));
  const plain = undoQuotedPrintable(raw);
  const once = [raw, words, joinedWords, plain, undoBase64(raw), undoBase64(plain)];
  return [...once, ...once.map(undoPercent)].map((text) => text.toLowerCase());
}

/** Whether a message shows an address in any spelling. */
export function shows(content: Uint8Array, address: string): boolean {
  const wanted = latin1(Buffer.from(address, 'utf8')).toLowerCase();
  return readingsOf(content).some((reading) => reading.includes(wanted));
}
