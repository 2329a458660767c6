/**
 * The forms of a provider's published schema, for the far sides of the tests, and what one of them says against a value.
 * Written without anything of `src/`. Invariant: a property that the schema does not name is refused.
 */

export type PublishedSchema =
  | { readonly type: 'integer' | 'boolean' | 'anything' }
  | {
      readonly type: 'string';
      readonly min?: number;
      readonly max?: number;
      readonly pattern?: RegExp;
    }
  | {
      readonly type: 'array';
      readonly of: PublishedSchema;
      readonly min?: number;
      readonly max?: number;
      readonly unique?: true;
    }
  | { readonly type: 'map'; readonly of: PublishedSchema }
  | {
      readonly type: 'object';
      readonly properties: Readonly<Record<string, PublishedSchema>>;
      readonly required: readonly string[];
    };

export const TEXT: PublishedSchema = { type: 'string' };
export const FILLED: PublishedSchema = { type: 'string', min: 1 };
export const INTEGER: PublishedSchema = { type: 'integer' };
export const SWITCH: PublishedSchema = { type: 'boolean' };
export const ANYTHING: PublishedSchema = { type: 'anything' };
/** One address and nothing else. */
export const EMAIL: PublishedSchema = { type: 'string', pattern: /^[^@\s,;<>]+@[^@\s,;<>]+$/ };
/** Base64 without line breaks. */
export const BASE64: PublishedSchema = { type: 'string', min: 1, pattern: /^[\w+/]+={0,2}$/ };

export function listOf(
  of: PublishedSchema,
  limits: { readonly min?: number; readonly max?: number; readonly unique?: true } = {},
): PublishedSchema {
  return { type: 'array', of, ...limits };
}

export function mapOf(of: PublishedSchema): PublishedSchema {
  return { type: 'map', of };
}

export function objectOf(
  properties: Readonly<Record<string, PublishedSchema>>,
  required: readonly string[] = [],
): PublishedSchema {
  return { type: 'object', properties, required };
}

/** The first thing the schema says against the value, with its place; null where nothing. */
export function problemWith(schema: PublishedSchema, value: unknown, place = ''): string | null {
  switch (schema.type) {
    case 'anything':
      return null;
    case 'boolean':
      return typeof value === 'boolean' ? null : `${place}: a boolean is wanted`;
    case 'integer':
      return Number.isInteger(value) ? null : `${place}: an integer is wanted`;
    case 'string':
      return textProblem(schema, value, place);
    case 'array':
      return listProblem(schema, value, place);
    default:
      return fieldsProblem(schema, value, place);
  }
}

function textProblem(
  { min = 0, max = Infinity, pattern }: Extract<PublishedSchema, { type: 'string' }>,
  value: unknown,
  place: string,
): string | null {
  if (typeof value !== 'string') return `${place}: a string is wanted`;
  if (value.length < min || value.length > max) return `${place}: length ${value.length}`;
  return pattern === undefined || pattern.test(value) ? null : `${place}: not in its form`;
}

function listProblem(
  { of, min = 0, max = Infinity, unique }: Extract<PublishedSchema, { type: 'array' }>,
  value: unknown,
  place: string,
): string | null {
  if (!Array.isArray(value)) return `${place}: an array is wanted`;
  if (value.length < min || value.length > max) return `${place}: ${value.length} items`;
  if (unique && new Set(value.map((item) => JSON.stringify(item))).size < value.length)
    return `${place}: an item stands twice`;
  return firstOf(value.map((item, i) => [of, item, `${place}[${i}]`]));
}

function fieldsProblem(
  schema: Extract<PublishedSchema, { type: 'map' | 'object' }>,
  value: unknown,
  place: string,
): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return `${place}: an object is wanted`;
  const fields = Object.entries(value);
  if (schema.type === 'map')
    return firstOf(fields.map(([name, item]) => [schema.of, item, `${place}.${name}`]));
  const given = new Set(fields.map(([name]) => name));
  const missing = schema.required.find((name) => !given.has(name));
  if (missing !== undefined) return `${place}.${missing}: is required`;
  for (const [name, item] of fields) {
    const form = schema.properties[name];
    if (form === undefined) return `${place}.${name}: is not in the schema`;
    const problem = problemWith(form, item, `${place}.${name}`);
    if (problem !== null) return problem;
  }
  return null;
}

function firstOf(items: readonly (readonly [PublishedSchema, unknown, string])[]): string | null {
  for (const [schema, value, place] of items) {
    const problem = problemWith(schema, value, place);
    if (problem !== null) return problem;
  }
  return null;
}
