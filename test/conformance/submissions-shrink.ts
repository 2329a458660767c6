/** Makes a violating submission smaller for as long as it still violates, so that a person sees the reason. */

import type { Submission } from './generator.ts';
import type { SubmissionRequest } from './generator-doors.ts';
import type { Rig } from './submissions-run.ts';

/** Each trial is a submission through the gates, and waits until no more of it can come. */
const TRIALS_MAX = 60;

export async function shrink(rig: Rig, submission: Submission): Promise<Submission> {
  let smallest = submission;
  let trials = 0;
  let progress = true;
  while (progress && trials < TRIALS_MAX) {
    progress = false;
    for (const request of smallerThan(smallest.request)) {
      if (++trials > TRIALS_MAX) break;
      const candidate = { ...smallest, request };
      // A gate that ends its connection over a trial ends the trials: the smallest until then is told.
      const sent = await rig.send([candidate]).catch(() => null);
      if (sent === null) return smallest;
      const { violations } = sent;
      if (!violations.some(({ what }) => what === 'shown' || what === 'fault')) continue;
      smallest = candidate;
      progress = true;
      break;
    }
  }
  return smallest;
}

/** The same request without one thing each. */
function* smallerThan(request: SubmissionRequest): Generator<SubmissionRequest> {
  if (request.kind !== 'http') {
    for (const content of smallerMessages(request.content)) yield { ...request, content };
  } else if (request.contentType === 'application/json') {
    const given: unknown = JSON.parse(request.body.toString());
    for (const smaller of smallerValues(given))
      yield { ...request, body: Buffer.from(JSON.stringify(smaller)) };
  }
}

/** Header fields first, then halves, quarters and single lines of the body. */
function* smallerMessages(content: Buffer): Generator<Buffer> {
  const text = content.toString('latin1');
  const at = text.indexOf('\r\n\r\n');
  const fields = text.slice(0, at).split(/\r\n(?![ \t])/);
  const body = text.slice(at + 4).split('\r\n');
  const joined = (header: readonly string[], lines: readonly string[]): Buffer =>
    Buffer.from(`${header.join('\r\n')}\r\n\r\n${lines.join('\r\n')}`, 'latin1');
  for (let i = 0; i < fields.length; i++) yield joined(fields.toSpliced(i, 1), body);
  for (
    let size = Math.ceil(body.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let i = 0; i < body.length; i += size) yield joined(fields, body.toSpliced(i, size));
}

/** A JSON value without one member or item, at any depth. */
function* smallerValues(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  const entries = Object.entries(value);
  for (const [name] of entries) {
    if (Array.isArray(value)) yield value.toSpliced(Number(name), 1);
    else yield Object.fromEntries(entries.filter(([other]) => other !== name));
  }
  for (const [name, inner] of entries)
    for (const smaller of smallerValues(inner)) {
      if (Array.isArray(value)) yield value.with(Number(name), smaller);
      else yield { ...value, [name]: smaller };
    }
}

/** As a text for people: where an address stands in clear, most of its local part is left out. */
export function masked({ number, kind, door, policy, split, request }: Submission): string {
  const content = request.kind === 'http' ? request.body : request.content;
  const text = content.toString('utf8').replace(/([\w.+'-])[\w.+'-]*(@[\w.-]+)/g, '$1…$2');
  const head = `submission ${number}: ${kind} at ${door}, ${policy}, split ${split ? 'on' : 'off'}`;
  return `${head}\n\n${text}\n`;
}
