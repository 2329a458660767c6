/** The other end of the API socket: signs requests as an operator and follows long answers. */

import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../base/errors.ts';
import { type ProgressBar, progressBar } from '../base/progress.ts';
import {
  checkOperatorId,
  type OperatorKey,
  type OperatorKeyFile,
  operatorKeyOf,
} from '../operators/operator-key.ts';
import { authorization, bodyDigest } from '../operators/signed-request.ts';
import type { FaultBody, StreamEvent } from '../web/stream.ts';
import type { CommandIo } from './command.ts';

/** Where operators' private keys stand: with the operator, never with the server. */
export function operatorsDir(io: CommandIo): string {
  return io.env.UNDISCLOSED_OPERATORS ?? join(homedir(), '.config', 'undisclosed', 'operators');
}

export async function saveOperatorKey(io: CommandIo, file: OperatorKeyFile): Promise<string> {
  const dir = operatorsDir(io);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, `${file.operator}.key`);
  await writeFile(path, `${JSON.stringify(file)}\n`, { mode: 0o600, flag: 'wx' }).catch((cause) => {
    throw new Fault('operator.key-exists', 'a key of this name is on this machine already', {
      where: path,
      remedy: 'choose another name, or move the file away if it is no longer used',
      cause,
    });
  });
  return path;
}

/** @throws Fault `operator.no-key`. */
export async function loadOperatorKey(io: CommandIo, name: string | null): Promise<OperatorKey> {
  const operator = name ?? io.env.UNDISCLOSED_AS ?? null;
  if (operator === null)
    throw new Fault('operator.no-key', 'no operator is named', {
      remedy: 'name yourself: --as NAME, or set UNDISCLOSED_AS',
    });
  const path = join(operatorsDir(io), `${checkOperatorId(operator)}.key`);
  if (!existsSync(path))
    throw new Fault('operator.no-key', `there is no key of ${operator} on this machine`, {
      where: path,
      remedy: `enrol: undisclosed operator add ${operator}`,
    });
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileFault(path, cause);
  });
  try {
    return operatorKeyOf(JSON.parse(text) as OperatorKeyFile);
  } catch {
    // No cause: a damaged key file is still a key file, and V8 quotes what it cannot parse.
    throw new Fault('operator.bad-key', 'this is no operator’s key file', {
      where: path,
      remedy: 'bring it back from a copy; without it two others remove this operator',
    });
  }
}

export interface ApiCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  /** A file to stream as the body instead. */
  readonly file?: string;
  /** Refuses a file with a longer line before anything is sent. */
  readonly lineBytesMax?: number;
  /** How long the answer may take to begin; without it, for ever. */
  readonly timeoutMs?: number;
  /** Null calls a route that needs no operator. */
  readonly key: OperatorKey | null;
}

const FILE_FAULTS: Readonly<Record<string, readonly [message: string, remedy: string]>> = {
  ENOENT: ['there is no such file', 'check its name'],
  ENOTDIR: ['there is no such file', 'check its name'],
  EISDIR: ['this is a folder', 'name a file in it'],
  EACCES: ['the file may not be read by this user', 'check its permissions'],
  EEXIST: ['there is a file of this name already', 'it is not overwritten: choose another name'],
  ENOSPC: ['the disk is full', 'make room and run the command again'],
};

/** What the system says of a file, as a Fault with the place and a remedy. */
export function fileFault(path: string, cause: unknown): Fault {
  const code = String((cause as { code?: unknown }).code);
  const [message, remedy] = FILE_FAULTS[code] ?? [
    `the file cannot be used (${code})`,
    'check its name and permissions',
  ];
  return new Fault('cli.unreadable', message, { where: path, remedy, cause });
}

/** Throws at the first line that is longer than allowed, without reading it to its end. */
function lineLimit(path: string, bytesMax: number): (chunk: Buffer) => void {
  let line = 1;
  let since = 0;
  return (chunk) => {
    let start = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      if (since + at - start > bytesMax) break;
      since = 0;
      line++;
      start = at + 1;
    }
    since += chunk.length - start;
    if (since > bytesMax)
      throw new Fault('customers.line-too-long', 'the line is longer than 1 MiB', {
        where: `${path} line ${line}`,
        remedy: 'check the file’s line breaks and quotes',
      });
  };
}

async function fileDigest(path: string, lineBytesMax = Number.POSITIVE_INFINITY): Promise<string> {
  const hash = createHash('sha256');
  const check = lineLimit(path, lineBytesMax);
  try {
    for await (const chunk of createReadStream(path)) {
      check(chunk as Buffer);
      hash.update(chunk as Buffer);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw fileFault(path, cause);
  }
  return hash.digest('hex');
}

function unreachable(socket: string, cause: unknown): Fault {
  return new Fault('api.unreachable', 'the server does not answer', {
    where: socket,
    remedy: 'start it: undisclosed serve; or name its socket with UNDISCLOSED_SOCKET',
    cause,
  });
}

/** Sends one call and resolves with the answer as it starts. */
export async function call(socket: string, options: ApiCall): Promise<IncomingMessage> {
  const { method, path, file, key } = options;
  const body = options.body === undefined ? '' : JSON.stringify(options.body);
  const digest =
    file === undefined ? bodyDigest(body) : await fileDigest(file, options.lineBytesMax);
  const headers: Record<string, string> = {};
  if (file !== undefined) headers['content-type'] = 'application/octet-stream';
  else if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (key !== null)
    headers.authorization = authorization(key, { method, path, bodyDigest: digest });
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: socket, method, path, headers }, (answer) => {
      // A complete answer to half a request: the rest of the file would be sent to nobody, for ever.
      answer.once('close', () => outgoing.destroy());
      resolve(answer);
    });
    if (options.timeoutMs !== undefined)
      outgoing.setTimeout(options.timeoutMs, () =>
        outgoing.destroy(new Error('it takes too long')),
      );
    outgoing.on('error', (cause) => reject(unreachable(socket, cause)));
    if (file === undefined) outgoing.end(body);
    // An answer may come, and end everything, before the whole file is sent.
    else pipeline(createReadStream(file), outgoing).catch(() => outgoing.destroy());
  });
}

export function faultOf(body: FaultBody): Fault {
  return new Fault(body.code, body.message, {
    ...(body.where === null ? {} : { where: body.where }),
    ...(body.remedy === null ? {} : { remedy: body.remedy }),
  });
}

/** Sends one call and reads its JSON answer. Throws the server's Fault. */
export async function callJson<T>(socket: string, options: ApiCall): Promise<T> {
  const answer = await call(socket, options);
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  const value = text === '' ? null : (JSON.parse(text) as unknown);
  if ((answer.statusCode ?? 500) >= 400) throw faultOf(value as FaultBody);
  return value as T;
}

/** Sends one call whose answer is JSON Lines; shows progress, hands items on, resolves with the result. */
export async function callStream<T>(
  socket: string,
  options: ApiCall,
  io: CommandIo,
  onItem: (item: unknown) => void = () => {},
  quiet = false,
): Promise<T> {
  const answer = await call(socket, options);
  if ((answer.statusCode ?? 500) >= 400) {
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    throw faultOf(JSON.parse(text) as FaultBody);
  }
  const bar: ProgressBar = progressBar({
    isTerminal: io.errorIsTerminal,
    columns: io.columns,
    write: quiet && !io.errorIsTerminal ? () => {} : (text) => io.stderr(text),
  });
  try {
    for await (const line of createInterface({ input: answer })) {
      if (line === '') continue;
      const event = JSON.parse(line) as StreamEvent;
      if (event.event === 'progress') bar.update(event.step, event.done, event.of, event.note);
      else if (event.event === 'item') onItem(event.item);
      else if (event.event === 'result') return event.result as T;
      else throw faultOf(event.fault);
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw cutOff(socket, error);
  } finally {
    bar.finish();
    answer.destroy();
  }
  throw cutOff(socket, undefined);
}

function cutOff(socket: string, cause: unknown): Fault {
  return new Fault('api.cut-off', 'the server ended before its answer was complete', {
    where: socket,
    remedy: 'see its log; the command can be run again',
    cause,
  });
}
