/**
 * The files that the page loads, from this list and from nowhere else: a path in a URL is only ever compared with a name of it.
 * A name holds a hash of its content, so that it may be kept for ever.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const own = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export type AssetName =
  | 'tabler.css'
  | 'uplot.css'
  | 'theme.css'
  | 'frame.css'
  | 'parts.css'
  | 'held.css'
  | 'sending.css'
  | 'narrow.css'
  | 'theme.js'
  | 'htmx.js'
  | 'htmx-sse.js'
  | 'uplot.js'
  | 'plots.js'
  | 'console.js';

/** Each as it is shipped. Of htmx the core and its extension for server-sent events; of Tabler the style sheet alone. */
const FILES: Readonly<Record<AssetName, string>> = {
  'tabler.css': fileURLToPath(import.meta.resolve('@tabler/core/dist/css/tabler.min.css')),
  'uplot.css': fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')),
  'theme.css': own('theme.css'),
  'frame.css': own('frame.css'),
  'parts.css': own('parts.css'),
  'held.css': own('held.css'),
  'sending.css': own('sending.css'),
  'narrow.css': own('narrow.css'),
  'theme.js': own('theme.js'),
  'htmx.js': fileURLToPath(import.meta.resolve('htmx.org/dist/htmx.min.js')),
  'htmx-sse.js': fileURLToPath(import.meta.resolve('htmx.org/dist/ext/hx-sse.min.js')),
  'uplot.js': fileURLToPath(import.meta.resolve('uplot/dist/uPlot.iife.min.js')),
  'plots.js': own('plots.js'),
  'console.js': own('console.js'),
};

export interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
  /** Made when a browser first asks for it: most starts of `serve` never need it. */
  readonly gzipped: () => Promise<Buffer>;
}

export interface Assets {
  /** The path to write into a page. */
  path(name: AssetName): string;
  /** By the last part of its path. */
  find(file: string): Asset | null;
}

const compress = promisify(gzip);

/** Reads all of them, once. */
export async function readAssets(): Promise<Assets> {
  const paths = new Map<string, string>();
  const byFile = new Map<string, Asset>();
  await Promise.all(
    Object.entries(FILES).map(async ([name, place]) => {
      const bytes = await readFile(place);
      const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
      const [, stem = name, kind = ''] = /^(.*)\.(css|js)$/.exec(name) ?? [];
      const file = `${stem}-${hash}.${kind}`;
      const type = kind === 'css' ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8';
      paths.set(name, `/assets/${file}`);
      let gzipped: Promise<Buffer> | null = null;
      byFile.set(file, {
        ...{ type, etag: `"${hash}"`, bytes },
        gzipped: () => {
          gzipped ??= compress(bytes);
          return gzipped;
        },
      });
    }),
  );
  return {
    path: (name) => paths.get(name) ?? '',
    find: (file) => byFile.get(file) ?? null,
  };
}

/** In the order in which they stand in a page. */
export const STYLES: readonly AssetName[] = [
  'tabler.css',
  'uplot.css',
  'theme.css',
  'frame.css',
  'parts.css',
  'held.css',
  'sending.css',
  'narrow.css',
];
