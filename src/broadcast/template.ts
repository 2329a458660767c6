/**
 * Templates: Liquid with ICU messages, compiled once per language into literals and slots.
 * Invariant: a slot that is undefined, null or empty is a fault, and nothing stateful (time, chance) can be said.
 */

import { IntlMessageFormat } from 'intl-messageformat';
import { Context, Liquid, type Template, TokenKind, toValueSync } from 'liquidjs';
import { Fault } from '../base/errors.ts';

/** What templates see of a recipient. */
export type CustomerFields = Readonly<Record<string, string | number>>;

/** One piece of a compiled template, in order. */
export type Piece =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'slot'; readonly source: string; render(fields: CustomerFields): string };

export interface TemplateOptions {
  /** Name of the file, for errors. */
  readonly file: string;
  readonly language: string;
  readonly direction: 'ltr' | 'rtl';
  readonly messages: Readonly<Record<string, string>>;
  readonly escape: 'html' | 'none';
  /** The customer fields that the notice declares. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Pure filters only: `date`, `sample`, `random` and `raw` are absent on purpose. */
const FILTERS: readonly string[] = [
  'append',
  'capitalize',
  'default',
  'divided_by',
  'downcase',
  'minus',
  'plus',
  'prepend',
  'round',
  'size',
  'slice',
  'strip',
  'times',
  'truncate',
  'upcase',
];
const TAGS: readonly string[] = ['if', 'unless', 'case', 'comment'];

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (c) => HTML_ESCAPES[c] ?? c) : text;
}

function emptySlot(what: string): Fault {
  return new Fault('notice.empty-slot', `${what} is undefined or empty`);
}

/** Our own check: Liquid's strict mode lets null and the empty string through. */
function present(value: unknown): string {
  if (value === undefined || value === null) throw emptySlot('a variable');
  const text = String(value);
  if (text.trim() === '') throw emptySlot('a variable');
  return text;
}

type Element = ReturnType<IntlMessageFormat['getAst']>[number];
type Values = Readonly<Record<string, unknown>>;
/** One part of a message: its own words, or what it says of the values. */
type MessagePart = string | ((values: Values) => string);

/** Types of elements in the library's syntax tree. */
const LITERAL = 0;
const ARGUMENT = 1;
const NUMBERS_KEPT = 1000;

/** The values an element speaks of; messages have no tags. */
function namesIn(element: Element): readonly string[] {
  if (element.type === LITERAL || !('value' in element)) return [];
  const options = 'options' in element ? Object.values(element.options) : [];
  return [element.value, ...options.flatMap((option) => option.value.flatMap(namesIn))];
}

/**
 * A format that keeps what it said of the first thousand numbers, where one number is all it speaks of: counts repeat.
 * Names and other text are never kept.
 */
function kept(
  used: readonly string[],
  names: ReadonlyMap<string, boolean>,
  format: (values: Values) => string,
): (values: Values) => string {
  const [name = '', ...more] = new Set(used);
  if (more.length > 0 || names.get(name) !== true) return format;
  const known = new Map<number, string>();
  return (values) => {
    const value = values[name];
    // A map takes -0 for 0; formats do not.
    if (typeof value !== 'number' || Object.is(value, -0)) return format(values);
    const before = known.get(value);
    if (before !== undefined) return before;
    const text = format(values);
    if (known.size < NUMBERS_KEPT) known.set(value, text);
    return text;
  };
}

class Messages {
  readonly #options: TemplateOptions;
  readonly #formats = new Map<string, IntlMessageFormat>();

  constructor(options: TemplateOptions) {
    this.#options = options;
  }

  #format(key: string): IntlMessageFormat {
    const known = this.#formats.get(key);
    if (known !== undefined) return known;
    const text = this.#options.messages[key];
    const where = `messages/${this.#options.language}.json ${key}`;
    if (text === undefined)
      throw new Fault('notice.invalid', `the message ${key} is missing`, { where });
    try {
      const format = new IntlMessageFormat(text, this.#options.language, undefined, {
        ignoreTag: true,
      });
      this.#formats.set(key, format);
      return format;
    } catch (cause) {
      throw new Fault('notice.invalid', `the message ${key} is not ICU MessageFormat`, {
        where,
        remedy: cause instanceof Error ? cause.message : 'mend its braces',
      });
    }
  }

  /** @throws Fault `notice.invalid` where the message is missing or malformed. */
  check(key: string): void {
    this.#format(key);
  }

  /**
   * The message in parts, so that only what depends on the customer is rendered for each; the library still says each part.
   * One part where nothing of it is always shown, since it may turn out empty, or where a value is missing or none is used.
   * @param names what is given to it; true for numbers.
   */
  parts(key: string, names: ReadonlyMap<string, boolean>): readonly MessagePart[] {
    const elements = this.#format(key).getAst();
    const used = elements.flatMap(namesIn);
    const shown = elements.some((part) => part.type === LITERAL && part.value.trim() !== '');
    if (!shown || used.length === 0 || used.some((name) => !names.has(name)))
      return [kept(used, names, (values) => present(this.translate(key, values)))];
    return elements.map((element) => this.#part(element, names));
  }

  #part(element: Element, names: ReadonlyMap<string, boolean>): MessagePart {
    if (element.type === LITERAL) return element.value;
    if (element.type === ARGUMENT) return (values) => String(values[element.value]);
    const message = new IntlMessageFormat([element], this.#options.language);
    return kept(namesIn(element), names, (values) =>
      String(message.format(values as Record<string, string>)),
    );
  }

  checkValues(key: string, values: Values): void {
    for (const name in values) {
      const value = values[name];
      if (value === undefined || value === null || value === '')
        throw emptySlot(`the variable ${name} of the message ${key}`);
    }
  }

  translate(key: unknown, values: Values): string {
    this.checkValues(String(key), values);
    try {
      return String(this.#format(String(key)).format(values as Record<string, string>));
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      throw new Fault('notice.empty-slot', `the message ${String(key)} lacks a variable`, {
        remedy: cause instanceof Error ? cause.message : '',
      });
    }
  }
}

type Escape = (text: string) => string;

function engineFor(messages: Messages, escapeOutput: Escape): Liquid {
  const engine = new Liquid({
    strictFilters: true,
    ownPropertyOnly: true,
    jsTruthy: true,
    outputEscape: (value: unknown) => escapeOutput(present(value)),
  });
  for (const name of Object.keys(engine.filters))
    if (!FILTERS.includes(name)) delete engine.filters[name];
  for (const name of Object.keys(engine.tags)) if (!TAGS.includes(name)) delete engine.tags[name];
  engine.registerFilter('t', (key: unknown, ...pairs: readonly (readonly [string, unknown])[]) =>
    messages.translate(key, Object.fromEntries(pairs)),
  );
  return engine;
}

function compileFault(options: TemplateOptions, thrown: unknown): Fault {
  // Liquid wraps what a filter throws.
  const inner = (thrown as { originalError?: unknown }).originalError;
  const cause = inner instanceof Fault ? inner : thrown;
  if (cause instanceof Fault) {
    return cause.where === undefined
      ? new Fault(cause.code, cause.message, { where: options.file, cause })
      : cause;
  }
  const message = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  const line = /line:(\d+)/.exec(message)?.[1];
  return new Fault('notice.invalid', message.replace(/, line:.*/, ''), {
    where: line === undefined ? options.file : `${options.file} line ${line}`,
    remedy: 'allowed are outputs with the filters t, default and plain text filters, and if/case',
    cause,
  });
}

/** Fields used by a template that the notice does not declare are a mistake found before any customer is. */
function checkVariables(engine: Liquid, node: Template, options: TemplateOptions): boolean {
  let dynamic = false;
  for (const path of engine.fullVariablesSync([node])) {
    const [root, ...rest] = String(path).split('.');
    if (root === 'language' || root === 'direction') continue;
    if (root !== 'customer' || rest.length !== 1)
      throw new Fault('notice.undefined-variable', `the variable ${path} does not exist`, {
        where: `${options.file} line ${node.token.getPosition()[0]}`,
        remedy: 'templates see customer.<field>, language and direction',
      });
    if (!(rest[0] !== undefined && rest[0] in options.fields))
      throw new Fault('notice.undefined-variable', `the field ${path} is not declared`, {
        where: `${options.file} line ${node.token.getPosition()[0]}`,
        remedy: `declare it under "fields" in notice.json`,
      });
    dynamic = true;
  }
  return dynamic;
}

const MESSAGE_KEY = /['"]([^'"]+)['"]\s*\|\s*t\b/g;
const FIELD = 'customer\\.([A-Za-z_]\\w*)';
const FIELD_OUTPUT = new RegExp(`^\\{\\{\\s*${FIELD}\\s*\\}\\}$`);
const MESSAGE_OUTPUT = new RegExp(
  `^\\{\\{\\s*'([\\w.-]+)'\\s*\\|\\s*t\\s*:((?:\\s*\\w+\\s*:\\s*${FIELD}\\s*(?:,(?!\\s*\\})|(?=\\})))+)\\}\\}$`,
);

type DirectPiece = string | ((fields: CustomerFields) => string);

function own(fields: CustomerFields, name: string): string | number | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/**
 * The two outputs that nearly every slot is, `{{ customer.x }}` and `{{ 'key' | t: a: customer.x }}`, without Liquid's interpreter,
 * which takes two thirds of the time of a slot. A message comes in parts, its own words as literals. Null for all other outputs.
 */
function directPieces(
  output: string,
  messages: Messages,
  escapeOutput: Escape,
  options: TemplateOptions,
): readonly DirectPiece[] | null {
  const field = FIELD_OUTPUT.exec(output)?.[1];
  if (field !== undefined) return [(fields) => escapeOutput(present(own(fields, field)))];
  const [, key, list] = MESSAGE_OUTPUT.exec(output) ?? [];
  if (key === undefined || list === undefined) return null;
  const pairs = list.split(',').map((pair) => {
    const [name = '', of = ''] = pair.split(/:\s*customer\./).map((text) => text.trim());
    return { name, of };
  });
  const valuesOf = (fields: CustomerFields): Values => {
    const values: Record<string, unknown> = {};
    for (const { name, of } of pairs) values[name] = own(fields, of);
    return values;
  };
  const names = new Map(pairs.map(({ name, of }) => [name, options.fields[of] === 'number']));
  return messages.parts(key, names).map((part) => {
    if (typeof part === 'string') return escapeOutput(part);
    return (fields) => {
      const values = valuesOf(fields);
      messages.checkValues(key, values);
      return escapeOutput(part(values));
    };
  });
}

/**
 * Compiles one template for one language. Whatever does not depend on the customer becomes a literal here.
 * @throws Fault `notice.invalid`, `notice.undefined-variable`, naming file and line.
 */
export function compileTemplate(source: string, options: TemplateOptions): readonly Piece[] {
  const pieces: Piece[] = [];
  const constants = { language: options.language, direction: options.direction };
  const literal = (text: string): void => {
    const before = pieces.at(-1);
    if (before?.kind === 'literal')
      pieces[pieces.length - 1] = { kind: 'literal', text: before.text + text };
    else if (text !== '') pieces.push({ kind: 'literal', text });
  };
  try {
    const messages = new Messages(options);
    const escapeOutput: Escape = options.escape === 'html' ? escapeHtml : (text) => text;
    const engine = engineFor(messages, escapeOutput);
    const render = (node: Template, scope: object): string =>
      String(
        toValueSync(engine.renderer.renderTemplates([node], new Context(scope, engine.options))),
      );
    for (const node of engine.parse(source)) {
      if (node.token.kind === TokenKind.HTML || !checkVariables(engine, node, options)) {
        literal(render(node, constants));
        continue;
      }
      const source = node.token.getText();
      for (const [, key] of source.matchAll(MESSAGE_KEY)) messages.check(key ?? '');
      const direct = directPieces(source, messages, escapeOutput, options) ?? [
        (customer: CustomerFields) => render(node, { ...constants, customer }),
      ];
      for (const piece of direct) {
        if (typeof piece === 'string') literal(piece);
        else pieces.push(slotPiece(piece, node, options));
      }
    }
  } catch (cause) {
    throw compileFault(options, cause);
  }
  return pieces;
}

function slotPiece(
  render: (fields: CustomerFields) => string,
  node: Template,
  options: TemplateOptions,
): Piece {
  return {
    kind: 'slot',
    source: node.token.getText(),
    render: (fields) => {
      try {
        return render(fields);
      } catch (cause) {
        throw slotFault(cause, node, options);
      }
    },
  };
}

/** What a person must know: which output of which file has no value. The value itself is never in it. */
function slotFault(cause: unknown, node: Template, options: TemplateOptions): Fault {
  const original = (cause as { originalError?: unknown }).originalError ?? cause;
  const reason = original instanceof Fault ? original.message : 'it cannot be rendered';
  return new Fault('notice.empty-slot', `${node.token.getText()}: ${reason}`, {
    where: `${options.file} line ${node.token.getPosition()[0]}, ${options.language}`,
    remedy: 'complete the customer’s record, or give the output a default',
    cause,
  });
}
