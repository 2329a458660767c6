/** The operators' page as a program sees it: plain HTTP with whatever headers a test wants, and the cookies it was given. */

import { type IncomingHttpHeaders, request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';

export interface PageAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly milliseconds: number;
}

export interface AskOptions {
  readonly method?: 'GET' | 'POST' | 'HEAD' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  /** Fields of a form. */
  readonly form?: Readonly<Record<string, string>>;
}

/** A certificate of the test's own is nobody's. */
const TLS = { rejectUnauthorized: false };

export class ConsoleClient {
  readonly origin: string;
  cookie = '';

  constructor(origin: string) {
    this.origin = origin;
  }

  ask(path: string, { method = 'GET', headers = {}, form }: AskOptions = {}): Promise<PageAnswer> {
    const started = performance.now();
    const { hostname, port, protocol } = new URL(this.origin);
    const request = protocol === 'https:' ? secureRequest : plainRequest;
    const all: Record<string, string> = { ...headers };
    if (this.cookie !== '') all.cookie ??= this.cookie;
    if (form !== undefined) all['content-type'] ??= 'application/x-www-form-urlencoded';
    return new Promise((resolve, reject) => {
      const outgoing = request({ hostname, port, path, method, headers: all, ...TLS }, (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => {
          body += String(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const [pair] = answer.headers['set-cookie'] ?? [];
          if (pair !== undefined) this.cookie = pair.split(';')[0] ?? '';
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body,
            milliseconds: performance.now() - started,
          });
        });
      });
      outgoing.on('error', reject);
      outgoing.end(form === undefined ? undefined : new URLSearchParams(form).toString());
    });
  }

  /** A form as a page of this origin would send it. */
  post(path: string, form: Readonly<Record<string, string>>, headers = {}): Promise<PageAnswer> {
    return this.ask(path, { method: 'POST', form, headers: { origin: this.origin, ...headers } });
  }

  /** The token that the forms of this session carry. */
  async csrf(): Promise<string> {
    const { body } = await this.ask('/halt');
    return /name="csrf" value="([^"]+)"/.exec(body)?.[1] ?? '';
  }

  async signIn(url: string): Promise<PageAnswer> {
    const token = new URL(url).pathname.split('/').at(-1) ?? '';
    return this.post('/sign-in', { token });
  }

  /** Reads a stream until `enough` says so, or it ends, or the time is over; then closes it. */
  stream(
    path: string,
    enough: (text: string) => boolean,
    limitMs: number,
  ): Promise<{
    readonly text: string;
    readonly ended: boolean;
    readonly headers: IncomingHttpHeaders;
  }> {
    const { hostname, port } = new URL(this.origin);
    return new Promise((resolve, reject) => {
      const outgoing = plainRequest(
        { hostname, port, path, headers: { cookie: this.cookie } },
        (answer) => {
          let text = '';
          const done = (ended: boolean): void => {
            clearTimeout(timer);
            resolve({ text, ended, headers: answer.headers });
            outgoing.destroy();
          };
          const timer = setTimeout(() => done(false), limitMs);
          answer.setEncoding('utf8');
          answer.on('data', (chunk) => {
            text += String(chunk);
            if (enough(text)) done(false);
          });
          answer.on('end', () => done(true));
          answer.on('error', () => {});
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }
}
