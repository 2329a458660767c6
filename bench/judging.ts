/** What judging alone costs, in this process and at a gate, by the number of readers and by the kind of content. */

import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { judge } from '../src/guard/judge.ts';
import { policyFrom } from '../src/policy/policy.ts';

/** Readers of one call; the last is there to show that the time grows with the number and no faster. */
export const JUDGED = [1000, 10_000, 20_000] as const;
const ROUNDS = 9;
const BODY_LINE = 'The weights are rounded to four places as the rules of the index say.\r\n';
const BYTES_100K = 100_000;

const policy = policyFrom('transactional', {
  companyDomains: ['northwind.example'],
  roleAddresses: ['support@northwind.example'],
});

const NOBODY = Buffer.alloc(32);

/** As the customer index answers: one HMAC for an address, and nobody of these is known. */
const key = createSecretKey(randomBytes(32));
const isCustomer = (canonical: string): boolean =>
  createHmac('sha256', key).update(canonical).digest().equals(NOBODY);

function toMany(count: number): { readonly readers: readonly string[]; readonly bytes: Buffer } {
  const readers = Array.from({ length: count }, (_, i) => `person${i}@webmail.example`);
  const head = `From: a@northwind.example\r\nTo: ${readers.join(',\r\n ')}\r\nSubject: s\r\n\r\n`;
  return { readers, bytes: Buffer.from(head + BODY_LINE.repeat(40)) };
}

/** The median of several. */
export function judgeMs(count: number): number {
  const { readers, bytes } = toMany(count);
  const envelope = { from: 'a@northwind.example', recipients: readers, smtpUtf8: false };
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const started = performance.now();
    const { verdict, disclosures } = judge({ envelope, bytes }, { policy, isCustomer });
    times.push(performance.now() - started);
    if (verdict.kind !== 'refuse' || disclosures !== count * (count - 1))
      throw new Error(`${count} readers in one To were judged ${verdict.kind}`);
  }
  times.sort((one, other) => one - other);
  return times[ROUNDS >> 1] ?? 0;
}

/** The same at a gate: from the last byte of content to its 5xx. */
export async function refusalMs(port: number, count: number): Promise<number> {
  const { readers, bytes } = toMany(count);
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) times.push(await refusedAfterMs(port, readers, bytes));
  times.sort((one, other) => one - other);
  return times[ROUNDS >> 1] ?? 0;
}

async function refusedAfterMs(
  port: number,
  readers: readonly string[],
  bytes: Buffer,
): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  const until = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) return found;
      await once(socket, 'data');
    }
  };
  try {
    await until(/^220 /);
    socket.write('EHLO source.northwind.example\r\nMAIL FROM:<a@northwind.example>\r\n');
    socket.write(readers.map((reader) => `RCPT TO:<${reader}>\r\n`).join(''));
    socket.write('DATA\r\n');
    await until(/^354 /m);
    text = '';
    const started = performance.now();
    socket.write(Buffer.concat([bytes, Buffer.from('.\r\n')]));
    const code = await until(/^\d{3} .*\r\n/m);
    if (!code.startsWith('5')) throw new Error(`a leak was answered ${code.slice(0, 3)}`);
    return performance.now() - started;
  } finally {
    socket.destroy();
  }
}

/** Messages of 100 KB judged per second on one core, warm. */
export function judged100KbPerSecond(): Readonly<Record<string, number>> {
  return {
    text: perSecond(textMessage()),
    html: perSecond(htmlMessage()),
    attachment: perSecond(attachedMessage()),
  };
}

function perSecond(bytes: Buffer): number {
  const recipients = ['person0@webmail.example'];
  const envelope = { from: 'a@northwind.example', recipients, smtpUtf8: false };
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = process.cpuUsage();
    for (let i = 0; i < 200; i++) {
      const { verdict } = judge({ envelope, bytes }, { policy, isCustomer });
      if (verdict.kind !== 'pass') throw new Error(`clean mail was judged ${verdict.kind}`);
    }
    const { user, system } = process.cpuUsage(started);
    rounds.push(200 / ((user + system) / 1e6));
  }
  rounds.sort((one, other) => one - other);
  return rounds[ROUNDS >> 1] ?? 0;
}

function head(rest: string): string {
  return `From: a@northwind.example\r\nTo: person0@webmail.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n${rest}`;
}

function textMessage(): Buffer {
  const body = BODY_LINE.repeat(BYTES_100K / BODY_LINE.length);
  return Buffer.from(`${head('Content-Type: text/plain; charset=utf-8\r\n\r\n')}${body}`);
}

function htmlMessage(): Buffer {
  let body = '<html><body><table>\r\n';
  for (let i = 0; body.length < BYTES_100K; i++)
    body +=
      `<tr><td style=3D"padding:4px 8px">Position ${i}</td><td><a href=3D"https://northwind.example/` +
      `positions/${i}">EUR 12.${(i % 90) + 10}</a></td></tr>\r\n`;
  body +=
    '<tr><td>Questions? <a href=3D"mailto:support@northwind.example">Write to us</a></td></tr>\r\n';
  const fields =
    'Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n';
  return Buffer.from(`${head(fields)}${body}</table></body></html>\r\n`);
}

function attachedMessage(): Buffer {
  const picture = randomBytes(Math.floor((BYTES_100K * 3) / 4.1));
  Buffer.from('89504e470d0a1a0a', 'hex').copy(picture);
  const lines = picture.toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `${head('Content-Type: multipart/mixed; boundary="b1"\r\n\r\n')}--b1\r\nContent-Type: text/plain\r\n\r\n` +
      `${BODY_LINE}\r\n--b1\r\nContent-Type: image/png; name=chart.png\r\n` +
      'Content-Disposition: attachment; filename=chart.png\r\n' +
      `Content-Transfer-Encoding: base64\r\n\r\n${lines}\r\n--b1--\r\n`,
  );
}
