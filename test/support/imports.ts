/**
 * Which file imports what, read from the text, and what the table of `layers.json` says about it.
 * Type imports count: what the compiler erases still ties two folders together.
 */

import { existsSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';

/** The files that may import what is named at run time, and why. */
const COMPUTED_IMPORTS = new Map([
  [
    'src/broadcast/block-worker.ts',
    'the stages, so that a test can put a faulty one in their place',
  ],
  ['src/cli/demo.ts', 'the demo beside the sources, .ts in a checkout and .js in the package'],
]);

export interface Import {
  /** As written; null where it is computed. */
  readonly specifier: string | null;
  /** Erased before it runs. */
  readonly isType: boolean;
}

export interface Source {
  /** From the root of the checkout, with slashes. */
  readonly file: string;
  readonly imports: readonly Import[];
}

interface Row {
  readonly name: string;
  readonly purpose: string;
  readonly imports: readonly string[];
}

export interface Layers {
  readonly folders: readonly Row[];
  readonly outside: readonly Row[];
  readonly pure: { readonly folders: readonly string[]; readonly modules: readonly string[] };
  readonly packages: Readonly<Record<string, readonly string[]>>;
  readonly lastLook: string;
}

const ROOT = path.dirname(path.dirname(import.meta.dirname));

const IMPORTS: readonly RegExp[] = [
  /\b(?:import|export)\b[^;"()=]*?\bfrom\s*(?<text>"\d+")/g,
  /\bimport\s*(?<text>"\d+")/g,
  /\bimport\s*\(\s*(?<text>"\d+")?/g,
  /(?<![.\w])require\s*\(\s*(?<text>"\d+")?/g,
  /\b(?:require|import\.meta)\.resolve\s*\(\s*(?<text>"\d+")/g,
];

/** Every import of a source text, in no particular order. */
export function scanImports(text: string): readonly Import[] {
  const { code, texts } = withoutTexts(text);
  const found: Import[] = [];
  for (const pattern of IMPORTS) {
    for (const { 0: whole, groups } of code.matchAll(pattern)) {
      const index = groups?.text?.slice(1, -1);
      const specifier = index === undefined ? null : (texts[Number(index)] ?? null);
      found.push({ specifier, isType: /^(?:import|export)\s+type\s*[\w{*]/.test(whole) });
    }
  }
  return found;
}

/** Longest first: comments, quoted texts, regular expressions after what cannot end an operand. */
const PARTS =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?<template>`)|(?<=(?:^|[(,=:[!&|?{};+\n>]|\breturn)\s*)(?<regex>\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*)/g;

/** The code without comments; quoted texts are replaced by their number in `texts`. */
function withoutTexts(source: string): {
  readonly code: string;
  readonly texts: readonly string[];
} {
  const texts: string[] = [];
  let code = '';
  let at = 0;
  const parts = new RegExp(PARTS);
  for (let match = parts.exec(source); match !== null; match = parts.exec(source)) {
    code += source.slice(at, match.index);
    at = parts.lastIndex;
    if (match.groups?.text !== undefined) {
      code += `"${texts.push(match[0].slice(1, -1)) - 1}"`;
    } else if (match.groups?.template !== undefined) {
      at = endOfTemplate(source, at);
      code += `"${texts.push(source.slice(match.index + 1, at - 1)) - 1}"`;
      parts.lastIndex = at;
    } else {
      code += ' ';
    }
  }
  return { code: code + source.slice(at), texts };
}

/** Behind the closing mark; what stands in substitutions is not looked into, but skipped as a whole. */
function endOfTemplate(source: string, start: number): number {
  const parts = /\\[\s\S]|`|\$\{/g;
  parts.lastIndex = start;
  for (let match = parts.exec(source); match !== null; match = parts.exec(source)) {
    if (match[0] === '`') return parts.lastIndex;
    if (match[0] === '${') parts.lastIndex = endOfSubstitution(source, parts.lastIndex);
  }
  return source.length;
}

function endOfSubstitution(source: string, start: number): number {
  const parts = /[`{}]/g;
  parts.lastIndex = start;
  let depth = 1;
  for (let match = parts.exec(source); match !== null; match = parts.exec(source)) {
    if (match[0] === '`') parts.lastIndex = endOfTemplate(source, parts.lastIndex);
    else depth += match[0] === '{' ? 1 : -1;
    if (depth === 0) return parts.lastIndex;
  }
  return source.length;
}

/** The file a relative import names, from the root of the checkout; null for modules and packages. */
function targetOf(file: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return path.posix.join(path.posix.dirname(file), specifier);
}

/** The row that a file belongs to: its folder in `src`, the name of a file outside the folders, or a top folder. */
function rowOf(file: string): string {
  const [top, second, ...rest] = file.split('/');
  if (top !== 'src' || second === undefined) return top ?? '';
  return rest.length === 0 ? second.replace(/\.ts$/, '') : second;
}

const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.startsWith('test/');

/** What the sources do against the table, one line each, beginning with the file. */
export function breaches(
  sources: readonly Source[],
  layers: Layers,
  runtimePackages: readonly string[],
): readonly string[] {
  const files = new Set(sources.map(({ file }) => file));
  return sources.flatMap(({ file, imports }) => {
    const row = [...layers.folders, ...layers.outside].find(({ name }) => name === rowOf(file));
    const inFolder = file.split('/').length > 2;
    if (row === undefined || layers.folders.includes(row) !== inFolder) {
      return [`${file}: ${inFolder ? `folder ${rowOf(file)}` : 'this file'} is not in layers.json`];
    }
    const complaints = imports.flatMap(({ specifier }) => {
      if (specifier === null && COMPUTED_IMPORTS.has(file)) return [];
      if (specifier === null) return ['a computed import cannot be checked: name the file'];
      const target = targetOf(file, specifier);
      if (target === null) return aboutModule(file, row, specifier, layers, runtimePackages);
      const complaints = aboutFile(file, row, target, layers);
      if (complaints.length > 0 || files.has(target)) return complaints;
      return existsSync(path.join(ROOT, target)) ? [] : [`${specifier}: no such file`];
    });
    return complaints.map((complaint) => `${file}: ${complaint}`);
  });
}

function aboutFile(file: string, row: Row, target: string, layers: Layers): readonly string[] {
  if (file === layers.lastLook) return ['the last look imports node: modules only'];
  if (isTest(target)) return isTest(file) ? [] : [`imports a test, ${target}`];
  const to = rowOf(target);
  if (to === row.name) return [];
  const allowed = row.imports.filter((each) => each.split('/')[0] === to);
  if (allowed.length === 0) return [`${row.name} may not import ${to} (${target})`];
  const only = allowed.filter((each) => each.includes('/'));
  if (only.length > 0 && !only.some((each) => target === `src/${each}.ts`)) {
    return [`${row.name} may import ${only.join(', ')} only (${target})`];
  }
  const isPrivate = target.startsWith('src/') && target.split('/').length > 3;
  return isPrivate ? [`${target} is private to ${to}`] : [];
}

function aboutModule(
  file: string,
  row: Row,
  specifier: string,
  layers: Layers,
  runtimePackages: readonly string[],
): readonly string[] {
  const isNode = specifier.startsWith('node:');
  if (file === layers.lastLook && !isNode) return ['the last look imports node: modules only'];
  if (isTest(file)) return [];
  if (isNode) {
    const isOpen =
      !layers.pure.folders.includes(row.name) || layers.pure.modules.includes(specifier);
    return isOpen ? [] : [`${row.name} is pure and may not import ${specifier}`];
  }
  if (isBuiltin(specifier)) return [`${specifier} is written node:${specifier}`];
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
  if (!runtimePackages.includes(name)) return [`${name} is not a runtime dependency`];
  const homes = layers.packages[name] ?? [];
  return homes.includes(row.name) ? [] : [`${name} belongs to ${homes.join(', ')}`];
}

/**
 * Files that, as they load, come back to themselves: one list for each file in a circle, from it to it.
 * Type imports are erased and tie no knot.
 */
export function cyclesIn(sources: readonly Source[]): readonly (readonly string[])[] {
  const targets = new Map(
    sources.map(({ file, imports }) => [file, imports.flatMap((each) => loadedFile(file, each))]),
  );
  return sources.flatMap(({ file }) => {
    const way = wayBack(file, targets);
    return way === null ? [] : [way];
  });
}

function loadedFile(file: string, { specifier, isType }: Import): readonly string[] {
  const target = specifier === null || isType ? null : targetOf(file, specifier);
  return target === null ? [] : [target];
}

/** The shortest way along imports from a file back to it; null when there is none. */
function wayBack(
  start: string,
  targets: ReadonlyMap<string, readonly string[]>,
): readonly string[] | null {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const file of queue) {
    for (const target of targets.get(file) ?? []) {
      if (cameFrom.has(target)) continue;
      cameFrom.set(target, file);
      queue.push(target);
    }
  }
  if (!cameFrom.has(start)) return null;
  const way = [start];
  for (let at = cameFrom.get(start); at !== undefined && at !== start; at = cameFrom.get(at))
    way.unshift(at);
  return [start, ...way];
}
