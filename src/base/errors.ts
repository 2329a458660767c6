/** The one fault class. Expected outcomes are union types; a Fault is what nobody could plan for, or bad input. */

export interface FaultDetail {
  /** The place: a file and line, a setting, a row id. Never an address. */
  readonly where?: string;
  /** What the person reading it can do about it. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * An error with a stable code, the place it concerns and a remedy.
 * The message never holds a customer's address or data: it may be logged.
 */
export class Fault extends Error {
  readonly code: string;
  readonly where: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, detail: FaultDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'Fault';
    this.code = code;
    this.where = detail.where;
    this.remedy = detail.remedy;
  }
}

/** One clear line for a person: place, what is wrong, what to do. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Fault)) return error instanceof Error ? error.message : String(error);
  const place = error.where === undefined ? '' : `${error.where}: `;
  const remedy = error.remedy === undefined ? '' : ` (${error.remedy})`;
  return `${place}${error.message}${remedy}`;
}
